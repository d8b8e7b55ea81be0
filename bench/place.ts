import { dirname, join } from 'node:path'

/** The repository. */
export const root: string = join(import.meta.dirname, '..')

/** What users call. */
export const launcher: string = join(root, 'bin/artifact-store')

/** A program of `bench/children`, run in a process of its own. */
export function childProgram(name: string): string {
  return join(import.meta.dirname, 'children', name)
}

/**
 * What the launcher sets for its Node, for programs that are started without it. Compiled code is kept in a folder beside the working folders of all
 * contenders, so that nothing is compiled within a measurement: users of the library load compiled files.
 * @param scratch the working folder of one contender
 */
export function nodeEnvironment(scratch: string): Readonly<Record<string, string>> {
  return { MALLOC_TRIM_THRESHOLD_: '1073741824', MALLOC_MMAP_THRESHOLD_: '33554432', NODE_COMPILE_CACHE: join(dirname(scratch), 'compiled') }
}
