import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'node:test'
import type { TestContext } from 'node:test'
import { InputInvalidError, SourceChangedError } from '../core/errors.ts'
import type { IngestItem } from '../ports/data-plane.ts'
import { failure, fileItem, ingest, readAll, stored } from './data-plane-rig.ts'
import type { CheckDataPlane } from './data-plane-rig.ts'

const MIB = 1024 * 1024

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'data-plane-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** Cases of sources of kind `file`. */
export function fileCases(check: CheckDataPlane): void {
  describe('files', () => {
    check('thousands of files come back', async ({ t, plane, host }) => {
      const folder = folderOf(t)
      const contents = Array.from({ length: 1500 }, (_, index) =>
        index % 2 === 0 ? randomBytes(index) : Buffer.alloc(index, `line ${String(index)}\n`),
      )
      const items = contents.map((bytes, index) => {
        const path = join(folder, String(index))
        writeFileSync(path, bytes)
        return fileItem(path)
      })
      const outcomes = await ingest(plane, items)
      const chunks = outcomes.map((outcome) => host.locate(stored(outcome)))
      let count = 0
      for await (const read of plane.readMany(chunks)) {
        assert.ok('bytes' in read && contents[read.index]?.equals(read.bytes))
        count += 1
      }
      assert.equal(count, contents.length)
    })

    for (const size of [1000, 3 * MIB]) {
      check(`one of ${String(size)} bytes that is another by now is refused by name, and its neighbours are stored`, async ({ t, plane, host }) => {
        const folder = folderOf(t)
        const made = (name: string): string => {
          const path = join(folder, name)
          writeFileSync(path, randomBytes(size))
          return path
        }
        const changes: Readonly<Record<string, (path: string) => void>> = {
          grown: (path) => appendFileSync(path, 'x'),
          shrunk: (path) => truncateSync(path, size - 1),
          rewritten: (path) => writeFileSync(path, randomBytes(size)),
          touched: (path) => utimesSync(path, 1, 1),
          replaced: (path) => {
            unlinkSync(path)
            writeFileSync(path, randomBytes(size))
            utimesSync(path, 2, 2)
          },
          gone: (path) => unlinkSync(path),
          linked: (path) => {
            unlinkSync(path)
            symlinkSync(join(folder, 'fine'), path)
          },
        }
        const fine = made('fine')
        const items: IngestItem[] = [fileItem(fine)]
        for (const [name, change] of Object.entries(changes)) {
          const path = made(name)
          items.push(fileItem(path))
          change(path)
        }
        const outcomes = await ingest(plane, items)
        assert.equal((await readAll(plane, [host.locate(stored(outcomes[0]))])).length, size)
        for (const [index, name] of Object.keys(changes).entries()) {
          const error = failure(outcomes[index + 1])
          assert.ok(error instanceof SourceChangedError, `${name}: ${error.message}`)
          assert.ok(error.message.includes(join(folder, name)), error.message)
        }
      })

      check(`what stands in the place of one of ${String(size)} bytes and is no file is refused without waiting`, async ({ t, plane }) => {
        const folder = folderOf(t)
        const replace: Readonly<Record<string, (path: string) => void>> = {
          pipe: (path) => execFileSync('mkfifo', [path]),
          folder: (path) => mkdirSync(path),
        }
        const items = Object.entries(replace).map(([name, make]) => {
          const path = join(folder, name)
          writeFileSync(path, randomBytes(size))
          const item = fileItem(path)
          unlinkSync(path)
          make(path)
          return item
        })
        for (const outcome of await ingest(plane, items)) {
          const error = failure(outcome)
          assert.ok(error instanceof InputInvalidError && error.message.includes(folder), error.message)
        }
      })
    }

    check('a name that is not UTF-8 is read by its bytes', async ({ t, plane, host }) => {
      const path = Buffer.concat([Buffer.from(`${folderOf(t)}/`), Buffer.from([0xff, 0xfe])])
      writeFileSync(path, 'content')
      const outcomes = await ingest(plane, [fileItem(path)])
      assert.equal((await readAll(plane, [host.locate(stored(outcomes[0]))])).toString(), 'content')
    })
  })
}
