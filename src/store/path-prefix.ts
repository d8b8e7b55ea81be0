import { type FilePath, parsePath } from '../core/path.ts'

/** Whether a path is this one or lies below it; all do when there is none. A slash at its end changes nothing. @throws PathInvalidError */
export function within(prefix: string | undefined): (path: FilePath) => boolean {
  if (prefix === undefined || prefix === '') return () => true
  const parsed = parsePath(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
  return (path) => path === parsed || path.startsWith(`${parsed}/`)
}
