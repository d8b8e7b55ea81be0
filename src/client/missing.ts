import { DocumentInvalidError } from '../core/errors.ts'
import type { PackageId } from '../core/name.ts'
import { Members, readText } from './answer.ts'
import type { Connection } from './connection.ts'
import { jsonLines, toJsonLines } from './json-lines.ts'
import type { KnownEntry } from './put-item.ts'

const JSON_LINES = 'application/jsonl'

/**
 * Asks which files must be sent. Those that need not are attached to the package by the asking; links and directories are recorded by it.
 * @returns for each line, in order, whether its file must be sent
 */
export function askMissing(
  connection: Connection,
  packageId: PackageId,
  lines: readonly KnownEntry[],
  signal?: AbortSignal,
): Promise<readonly boolean[]> {
  return connection.call(
    {
      method: 'POST',
      path: `packages/${packageId}/missing`,
      headers: { 'content-type': JSON_LINES, accept: JSON_LINES },
      body: toJsonLines(lines),
      signal,
      repeatable: true,
    },
    async (response) => {
      const bytes = await connection.held(response)
      const paths: string[] = []
      for await (const line of jsonLines(once(bytes))) paths.push(new Members(line, 'line').one('path', readText))
      return answersFor(lines, paths)
    },
  )
}

/** The answer names the missing ones in the order of the question. */
function answersFor(lines: readonly KnownEntry[], missing: readonly string[]): readonly boolean[] {
  let next = 0
  const answers = lines.map(({ type, path }) => {
    if (type !== 'file' || missing[next] !== path) return false
    next += 1
    return true
  })
  if (next === missing.length) return answers
  throw new DocumentInvalidError(`the server's answer names '${missing[next] ?? ''}' as missing, which it was not asked for`)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
