import { readFileSync } from 'node:fs'

/** The release of this program, as package.json tells it. */
export function version(): string {
  const facts: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  if (typeof facts === 'object' && facts !== null && 'version' in facts && typeof facts.version === 'string') return facts.version
  throw new TypeError('package.json has no version')
}
