import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { serviceTest } from '../testing/service-test.ts'
import { zipPieces } from './archive-zip.ts'
import type { PackedEntry } from './packed-entry.ts'
import { SpoolFile } from './spool-file.ts'
import { readZip } from './zip-reader.ts'

const LIMIT_MS = 600_000

function run(command: string, ...parameters: readonly string[]): string {
  return execFileSync(command, parameters, { encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 1 << 26 })
}

serviceTest(
  'a zip archive of more than 4 GiB and more than 65,535 entries is read by Info-ZIP, Python, bsdtar and by itself',
  ['archivers'],
  async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'zip64-'))
    t.after(() => rmSync(scratch, { recursive: true, force: true }))
    const place = join(scratch, 'large.zip')
    const size = 2 ** 32 + 17
    const block = Buffer.alloc(1 << 20)
    const content = async function* (): AsyncGenerator<Uint8Array> {
      for (let done = 0; done < size; done += block.length) yield block.subarray(0, Math.min(block.length, size - done))
    }
    const facts = { kind: 'file', digest: '', mediaType: '', executable: false, fileSets: [] } as const
    const entries = async function* (): AsyncGenerator<PackedEntry> {
      // Sound: digests are not looked at, and the paths are proper ones.
      yield { ...facts, path: 'large', size, content: content() } as unknown as PackedEntry
      for (let index = 0; index < 66_000; index++) {
        // Sound: as above.
        yield { ...facts, path: `many/${index}`, size: 1, content: Buffer.from('x') } as unknown as PackedEntry
      }
    }
    await pipeline(zipPieces(entries()), createWriteStream(place))
    assert.match(run('unzip', '-tq', place), /No errors detected/)
    assert.equal(
      run('python3', '-c', `import zipfile; z = zipfile.ZipFile('${place}'); assert z.testzip() is None; print(len(z.namelist()))`).trim(),
      '66001',
    )
    assert.equal(run('sh', '-c', `bsdtar -tf "${place}" | wc -l`).trim(), '66001')
    const file = await SpoolFile.fill(scratch, createReadStream(place, { highWaterMark: 1 << 20 }))
    try {
      let [count, bytes] = [0, 0]
      for await (const entry of readZip(file, { entries: 100_000, contentBytes: 2 ** 40 })) {
        assert.equal(entry.problem, undefined)
        count++
        for await (const piece of entry.content()) bytes += piece.length
      }
      assert.deepEqual([count, bytes], [66_001, size + 66_000])
    } finally {
      await file.close()
    }
  },
)
