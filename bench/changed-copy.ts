import { randomBytes } from 'node:crypto'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inputFiles } from './scenario.ts'

/** Copies a tree into a folder `changed` and gives every second file other bytes, as many. Not measured. @returns the copy */
export async function changedCopy(folder: string, into: string): Promise<string> {
  const copy = join(into, 'changed')
  cpSync(folder, copy, { recursive: true })
  const files = inputFiles(copy).toSorted()
  for (const [index, file] of files.entries()) if (index % 2 === 0) writeFileSync(join(copy, file), randomBytes(65_536))
  return copy
}
