import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import type { FileInfo, Store } from '../store/interface.ts'
import { bytes, collect, readAll, rejectsWith, repository, sealed } from './store-case.ts'

/** How content gets in and out. */
export function contentCases(store: () => Store): void {
  test('many entries go in at once: files, links and directories, of which only empty ones are kept', async () => {
    const draft = await store().packages.open({ repository: repository() })
    const outcomes = await collect(
      draft.putMany([
        { kind: 'file', path: 'd/f', source: bytes('f') },
        { kind: 'symlink', path: 'd/link', target: 'f' },
        { kind: 'directory', path: 'd' },
        { kind: 'directory', path: 'hollow' },
        { kind: 'file', path: '../up', source: bytes('x') },
        { kind: 'file', path: 'wrong', source: bytes('x'), digest: digestOf(bytes('y')) },
        { kind: 'symlink', path: 'out', target: '../../etc/passwd' },
      ]),
    )
    const flat = outcomes.flat().toSorted((left, right) => left.index - right.index)
    assert.deepEqual(
      flat.map((outcome) => ('error' in outcome ? outcome.error.code : 'ok')),
      ['ok', 'ok', 'ok', 'ok', 'path_invalid', 'digest_mismatch', 'input_invalid'],
    )
    const receipt = await draft.finalize()
    const entries = await collect(store().files.list(receipt.id))
    assert.deepEqual(
      entries.map((entry: FileInfo) => `${entry.kind} ${entry.path}`),
      ['file d/f', 'symlink d/link', 'directory hollow'],
    )
  })

  test('a path that is put again is replaced, and one that is removed is gone', async () => {
    const draft = await store().packages.open({ repository: repository() })
    await draft.put('a', bytes('old'))
    await draft.put('a', bytes('new'))
    await draft.put('b', bytes('b'))
    await draft.remove('b')
    await rejectsWith('file_not_found', draft.remove('b'))
    const receipt = await draft.finalize()
    assert.equal(receipt.fileCount, 1)
    assert.equal(await readAll(store().files.read(receipt.id, 'a')), 'new')
  })

  test('find-missing attaches what is here and only that, and says which', async () => {
    await sealed(store(), repository(), { known: 'known to the store' })
    const draft = await store().packages.open({ repository: repository() })
    const answers = await draft.attach([
      { path: 'k', digest: digestOf(bytes('known to the store')), size: 18 },
      { path: 'm', digest: digestOf(bytes('never seen')), size: 10 },
      { path: 's', digest: digestOf(bytes('known to the store')), size: 17 },
    ])
    assert.deepEqual(answers, [true, false, false])
    const receipt = await draft.finalize()
    assert.equal(receipt.fileCount, 1)
    assert.equal(await readAll(store().files.read(receipt.id, 'k')), 'known to the store')
  })

  test('ranges are inclusive, are cut at the end, and are refused beyond it', async () => {
    const receipt = await sealed(store(), repository(), { f: '0123456789' })
    const read = (start: number, end?: number): Promise<string> =>
      readAll(store().files.read(receipt.id, 'f', end === undefined ? { start } : { start, end }))
    assert.equal(await read(0, 0), '0')
    assert.equal(await read(3, 5), '345')
    assert.equal(await read(8), '89')
    assert.equal(await read(8, 1_000), '89')
    await rejectsWith('input_invalid', read(10))
    await rejectsWith('input_invalid', read(5, 3))
  })

  test('a large file comes back whole and in ranges', async () => {
    const large = Buffer.alloc(5 * 1024 * 1024 + 17)
    for (let index = 0; index < large.length; index += 4) large.writeUInt32LE((index * 2_654_435_761) >>> 0, Math.min(index, large.length - 4))
    const draft = await store().packages.open({ repository: repository() })
    await draft.put('large', large)
    const receipt = await draft.finalize()
    const parts: Uint8Array[] = []
    for await (const piece of store().files.read(receipt.id, 'large')) parts.push(piece)
    assert.equal(Buffer.compare(Buffer.concat(parts), large), 0)
    const middle: Uint8Array[] = []
    for await (const piece of store().files.read(receipt.id, 'large', { start: 1_048_570, end: 3_145_800 })) middle.push(piece)
    assert.equal(Buffer.compare(Buffer.concat(middle), large.subarray(1_048_570, 3_145_801)), 0)
  })

  test('many small files put one by one at the same time all arrive', async () => {
    const draft = await store().packages.open({ repository: repository() })
    await Promise.all(Array.from({ length: 200 }, (_, index) => draft.put(`f/${index}`, bytes(`content ${index % 50}`))))
    const receipt = await draft.finalize()
    assert.equal(receipt.fileCount, 200)
    const read = await collect(store().files.readMany(receipt.id))
    assert.equal(read.length, 200)
    for (const outcome of read) {
      assert.ok('bytes' in outcome)
      assert.equal(Buffer.from(outcome.bytes).toString(), `content ${Number(outcome.file.path.slice(2)) % 50}`)
    }
  })

  test('entries that cannot be together are refused by name, all at once, and the package stays open', async () => {
    const draft = await store().packages.open({ repository: repository() })
    for (const path of ['a', 'a/b', 'caf\u00e9', 'cafe\u0301', 'fine']) await draft.put(path, bytes(path))
    const error = await rejectsWith('tree_refused', draft.finalize())
    assert.equal(JSON.stringify(error.detail).match(/"path"/g)?.length, 2)
    await draft.remove('a')
    await draft.remove('cafe\u0301')
    assert.equal((await draft.finalize()).fileCount, 3)
  })

  test('what does not exist is not found, by package and by path', async () => {
    const receipt = await sealed(store(), repository(), { a: 'a' })
    await rejectsWith('file_not_found', store().files.stat(receipt.id, 'b'))
    await rejectsWith('not_found', store().files.stat('019ad000-0000-7000-8000-000000000000', 'a'))
    await rejectsWith('name_invalid', store().packages.get('not a reference'))
  })
}
