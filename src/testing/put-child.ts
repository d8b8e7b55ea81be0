import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { parseObjectKey } from '../ports/backend.ts'
import { crashContent } from './crash-content.ts'

/**
 * The process that shows what a rig catches: for every line on standard input puts an object, says on standard output when it is durable, and does
 * nothing until the next line. Line and content are a number. Argument: the backend's folder.
 */
const backend = await openFileSystemBackend(process.argv[2] ?? '')
for await (const line of createInterface({ input: process.stdin })) {
  await backend.put(parseObjectKey(`store/session/${line}`), [crashContent(Number(line))])
  writeSync(1, `${line}\n`)
}
