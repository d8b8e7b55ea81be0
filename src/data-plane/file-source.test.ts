import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, mock, test } from 'node:test'
import type { TestContext } from 'node:test'
import { SourceChangedError } from '../core/errors.ts'
import { readLargeFile, readSmallFile } from './file-source.ts'
import type { SourceFile } from './file-source.ts'

function fileOf(t: TestContext, bytes: Uint8Array): SourceFile & { readonly path: string } {
  const folder = fs.mkdtempSync(join(tmpdir(), 'file-source-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const path = join(folder, 'file')
  fs.writeFileSync(path, bytes)
  return { path, fingerprint: fs.lstatSync(path, { bigint: true }) }
}

describe('files that change while they are read', () => {
  test('a small one is refused when it is written to between reading and the end', (t) => {
    const file = fileOf(t, randomBytes(5000))
    const target = new Uint8Array(5000)
    assert.ok('digest' in readSmallFile(file, target, 0))
    const read = fs.readSync
    const mocked = mock.method(fs, 'readSync', (...rest: Parameters<typeof fs.readSync>) => {
      const count = read(...rest)
      fs.appendFileSync(file.path, 'more')
      return count
    })
    syncBuiltinESMExports()
    try {
      const problem = readSmallFile(file, target, 0)
      assert.ok('kind' in problem && problem.kind === 'changed' && problem.message.includes(file.path))
    } finally {
      mocked.mock.restore()
      syncBuiltinESMExports()
    }
  })

  for (const [what, change] of [
    ['grows', (path: string) => fs.appendFileSync(path, 'more')],
    ['shrinks', (path: string) => fs.truncateSync(path, 1_500_000)],
    ['is rewritten', (path: string) => fs.writeFileSync(path, randomBytes(5_000_000))],
  ] as const) {
    test(`a large one is refused when it ${what} between two blocks`, async (t) => {
      const file = fileOf(t, randomBytes(5_000_000))
      let blocks = 0
      await assert.rejects(async () => {
        for await (const block of readLargeFile(file)) {
          assert.ok(block.length > 0)
          blocks += 1
          if (blocks === 1) change(file.path)
        }
      }, SourceChangedError)
      assert.ok(blocks >= 1)
    })
  }

  test('a reader that stops early leaves nothing open', async (t) => {
    const file = fileOf(t, randomBytes(5_000_000))
    const open = (): number => fs.readdirSync('/proc/self/fd').length
    if (!fs.existsSync('/proc/self/fd')) return t.skip('this system does not list open files')
    const before = open()
    for await (const block of readLargeFile(file)) {
      assert.ok(open() > before && block.length > 0)
      break
    }
    assert.equal(open(), before)
  })
})
