import { writeSync } from 'node:fs'
import { failpoint } from '../decorators/failpoint.ts'
import { openStore } from '../store/open.ts'
import { piecesOfUpload, uploadContent } from './upload-content.ts'

/**
 * The process that crash tests kill while it uploads: one upload after the other, each in several calls, into a package of its own that it then seals.
 * It says on standard output what was acknowledged, a line each, see {@link UploadLine}. Arguments: directory of the store, first seed, failpoint or `-`.
 */

/** `{"seed", "upload", "package", "offset"}` after each call, and `"sealed": true` when the package is sealed. */
export interface UploadLine {
  readonly seed: number
  readonly upload: string
  readonly package: string
  readonly offset: number
  readonly sealed?: true
}

const [directory = '', first = '0', spec = '-'] = process.argv.slice(2)
const say = (line: UploadLine): void => void writeSync(1, `${JSON.stringify(line)}\n`)
const store = await openStore(directory, { actor: 'os:crash', ...(spec === '-' ? {} : { observe: failpoint(spec) }) })
for (let seed = Number(first); ; seed += 1) {
  const { content, cuts } = uploadContent(seed)
  const draft = await store.packages.open({ repository: 'crash', runId: `run-${seed}` })
  const { id: upload, offset } = await store.uploads.create({ packageId: draft.id, path: 'f', length: content.length })
  say({ seed, upload, package: draft.id, offset })
  let start = 0
  for (const end of cuts) {
    const info = await store.uploads.append(upload, start, piecesOfUpload(content.subarray(start, end)))
    say({ seed, upload, package: draft.id, offset: info.offset })
    start = end
  }
  await draft.finalize()
  say({ seed, upload, package: draft.id, offset: content.length, sealed: true })
}
