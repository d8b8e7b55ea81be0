import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeAwkwardTree } from './awkward-tree.ts'
import { compareTrees } from './compare-trees.ts'

const scratch = mkdtempSync(join(tmpdir(), 'compare-trees-'))
after(() => rmSync(scratch, { recursive: true }))
let trees = 0

function tree(): string {
  const folder = join(scratch, String(++trees))
  mkdirSync(folder)
  makeAwkwardTree(folder)
  return folder
}

test('equal trees have no differences', async () => {
  assert.deepEqual(await compareTrees(tree(), tree()), [])
})

test('every kind of difference is told, in either direction', async () => {
  const changes: readonly (readonly [string, (folder: string) => void])[] = [
    ['./plain.txt: same size, different bytes', (folder) => writeFileSync(join(folder, 'plain.txt'), 'Plain\n')],
    ['./nothing: 0 bytes here, 1 there', (folder) => writeFileSync(join(folder, 'nothing'), '1')],
    ['./bin/run: executable on one side only', (folder) => chmodSync(join(folder, 'bin/run'), 0o644)],
    ['./run-again: executable on one side only', (folder) => chmodSync(join(folder, 'bin/run'), 0o644)],
    ['./links/up: only here', (folder) => unlinkSync(join(folder, 'links/up'))],
    ['./empty/inside/new: only there', (folder) => writeFileSync(join(folder, 'empty/inside/new'), '')],
    [
      './new\nline: a file here, a directory there',
      (folder) => {
        unlinkSync(join(folder, 'new\nline'))
        mkdirSync(join(folder, 'new\nline'))
      },
    ],
    [
      './links/tree: links lead to different places',
      (folder) => {
        unlinkSync(join(folder, 'links/tree'))
        symlinkSync('.', join(folder, 'links/tree'))
      },
    ],
  ]
  for (const [expected, change] of changes) {
    const [a, b] = [tree(), tree()]
    change(b)
    assert.ok((await compareTrees(a, b)).includes(expected), `${expected}, not ${String(await compareTrees(a, b))}`)
    assert.notDeepEqual(await compareTrees(b, a), [])
  }
})

test('a difference beyond the first piece of a large file is told', async () => {
  const [a, b] = [tree(), tree()]
  const bytes = Buffer.alloc(3 * 1024 * 1024 + 17, 'large ')
  bytes[bytes.length - 1] = 0
  writeFileSync(join(b, 'a-file.bin'), bytes)
  assert.deepEqual(await compareTrees(a, b), ['./a-file.bin: same size, different bytes'])
})
