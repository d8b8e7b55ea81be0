import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { digestOf } from '../core/digest.ts'
import { TreeRefusedError } from '../core/errors.ts'
import { PAX_MEDIA_TYPE, PAX_SHA256 } from '../core/tar-header.ts'
import type { ArchiveRequest, Draft, FileInfo, FinalizedPackage, Store } from '../store/interface.ts'
import { bytes, collect, readAll, rejectsWith, repository, sealed } from './store-case.ts'
import { tarArchive } from './tar-archive.ts'
import { zipArchive } from './zip-archive.ts'

const FORMATS = ['tar', 'tar.zst', 'zip'] as const
/** Longer than what any store holds of one file. */
const LARGE = Buffer.alloc(3 * 1024 * 1024 + 11, 'more than is held at once ')

async function* inPieces(archive: Uint8Array, pieceBytes = 10_007): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < archive.length; start += pieceBytes) yield archive.subarray(start, start + pieceBytes)
}

/** A package with everything that a package can hold. */
async function varied(store: Store): Promise<FinalizedPackage> {
  const draft = await store.packages.open({ repository: repository() })
  await draft.put('large.bin', LARGE)
  await draft.put('bin/tool', bytes('#!/bin/sh\n'), { executable: true })
  await draft.put('empty', bytes(''))
  await draft.put('é/ü name', bytes('not ASCII'))
  await draft.put(`${'deep/'.repeat(40)}${'n'.repeat(200)}`, bytes('long'))
  await collect(
    draft.putMany([
      ...Array.from({ length: 50 }, (_, index) => ({ kind: 'file' as const, path: `many/${index}`, source: bytes(`content ${index}`) })),
      { kind: 'symlink', path: 'bin/link', target: '../many/1' },
      { kind: 'directory', path: 'hollow/inside' },
    ]),
  )
  return draft.finalize()
}

async function archived(store: Store, ref: string, request: ArchiveRequest): Promise<Buffer> {
  return Buffer.concat(await collect(store.files.archive(ref, request)))
}

async function listed(store: Store, id: string): Promise<string[]> {
  return (await collect(store.files.list(id))).map((entry: FileInfo) => `${entry.kind} ${entry.path}`)
}

/** How whole archives get in and out. */
export function archiveCases(store: () => Store): void {
  const open = (): Promise<Draft> => store().packages.open({ repository: repository() })

  test('an archive of any format becomes the package that single files become', async () => {
    const files = { a: 'first', 'b/c': 'second' }
    const { manifestDigest } = await sealed(store(), repository(), files)
    const entries = Object.entries(files).map(([name, content]) => ({ name, content }))
    for (const archive of [tarArchive(entries), gzipSync(tarArchive(entries)), zstdCompressSync(tarArchive(entries)), zipArchive(entries)]) {
      const draft = await open()
      assert.deepEqual(await draft.putArchive(inPieces(archive)), { files: 2, symlinks: 0, directories: 0, bytes: 11 })
      assert.equal((await draft.finalize()).manifestDigest, manifestDigest)
    }
  })

  for (const format of FORMATS) {
    test(`a package that leaves as ${format} and comes back is the same package`, async () => {
      const { id, manifestDigest, fileCount, size } = await varied(store())
      const archive = await archived(store(), id, { format })
      const draft = await open()
      assert.deepEqual(await draft.putArchive(inPieces(archive, 100_003)), { files: fileCount, symlinks: 1, directories: 1, bytes: size })
      assert.equal((await draft.finalize()).manifestDigest, manifestDigest)
      assert.ok((await archived(store(), id, { format })).equals(archive), 'the same package gave other bytes')
    })
  }

  test('of an archive that is refused nothing stays, every entry that cannot be stored is named, and the package can be filled on', async () => {
    const draft = await open()
    await draft.put('before', bytes('kept'))
    const wrong = [
      { name: 'before', content: 'replaced' },
      { name: 'good', content: 'good' },
      { name: 'large', content: LARGE },
      { name: '../up', content: 'x' },
      { name: '/absolute', content: 'x' },
      { name: 'good/below', content: 'x' },
    ]
    for (const archive of [tarArchive(wrong), zipArchive(wrong)]) {
      const error = await rejectsWith('tree_refused', draft.putArchive(inPieces(archive)))
      assert.ok(error instanceof TreeRefusedError)
      assert.deepEqual(error.problems.map(({ path }) => path).toSorted(), ['../up', '/absolute', 'good/below'])
    }
    const damaged = await rejectsWith(
      'tree_refused',
      draft.putArchive(
        inPieces(zipArchive([{ name: '../up' }, { name: 'small', crc: 1 }, { name: 'large', content: LARGE, crc: 1 }, { name: 'good' }])),
      ),
    )
    assert.ok(damaged instanceof TreeRefusedError)
    assert.deepEqual(damaged.problems.map(({ path }) => path).toSorted(), ['../up', 'large', 'small'])
    await draft.putArchive(inPieces(tarArchive([{ name: 'after', content: 'stored' }])))
    const { id } = await draft.finalize()
    assert.deepEqual(await listed(store(), id), ['file after', 'file before'])
    assert.equal(await readAll(store().files.read(id, 'before')), 'kept')
  })

  test('of an archive that is cut off nothing stays', async () => {
    const draft = await open()
    const tar = tarArchive(Array.from({ length: 100 }, (_, index) => ({ name: `f${index}`, content: `content ${index}` })))
    await rejectsWith('input_invalid', draft.putArchive(inPieces(tar.subarray(0, tar.length - 2_000))))
    const zip = zipArchive([{ name: 'a', content: 'a' }])
    await rejectsWith('input_invalid', draft.putArchive(inPieces(zip.subarray(0, zip.length - 1))))
    assert.equal((await draft.finalize()).fileCount, 0)
  })

  test('entries replace what has the same paths, files what were links and the other way round', async () => {
    const draft = await open()
    await draft.put('file', bytes('old'))
    await collect(draft.putMany([{ kind: 'symlink', path: 'link', target: 'file' }]))
    await draft.put('kept', bytes('kept'))
    await draft.putArchive(
      inPieces(
        tarArchive([
          { name: 'link', content: 'a file now' },
          { name: 'file', type: '2', linkName: 'kept' },
        ]),
      ),
    )
    const { id } = await draft.finalize()
    assert.deepEqual(await listed(store(), id), ['file kept', 'file link', 'symlink file'])
    assert.equal(await readAll(store().files.read(id, 'link')), 'a file now')
  })

  test('several archives may arrive at once', async () => {
    const draft = await open()
    const reports = await Promise.all(
      Array.from({ length: 6 }, (_, archive) =>
        draft.putArchive(
          inPieces(tarArchive(Array.from({ length: 40 }, (_entry, index) => ({ name: `a${archive}/f${index}`, content: `${index % 7}` })))),
        ),
      ),
    )
    assert.equal(
      reports.reduce((sum, { files }) => sum + files, 0),
      240,
    )
    assert.equal((await draft.finalize()).fileCount, 240)
  })

  test('a tar entry may say what its content must be and is', async () => {
    const content = 'measured'
    const facts = { [PAX_SHA256]: digestOf(bytes(content)).slice('sha256:'.length), [PAX_MEDIA_TYPE]: 'text/x-measure; Charset=UTF-8' }
    const draft = await open()
    await draft.putArchive(inPieces(tarArchive([{ name: 'm.bin', content, pax: facts }])))
    const wrong = [
      { name: 'm', content, pax: facts },
      { name: 'other', content: 'something else', pax: facts },
      { name: 'large', content: LARGE, pax: facts },
      { name: 'odd', content, pax: { [PAX_SHA256]: 'none' } },
      { name: 'type', content, pax: { [PAX_MEDIA_TYPE]: 'none' } },
    ]
    // All are found, also behind the first one, from which on nothing is stored any more.
    for (const entries of [wrong, wrong.toReversed()]) {
      const error = await rejectsWith('tree_refused', draft.putArchive(inPieces(tarArchive(entries))))
      assert.ok(error instanceof TreeRefusedError)
      assert.deepEqual(error.problems.map(({ path }) => path).toSorted(), ['large', 'odd', 'other', 'type'])
    }
    const { id, manifestDigest } = await draft.finalize()
    assert.equal((await store().files.stat(id, 'm.bin')).mediaType, 'text/x-measure;charset=utf-8')
    const again = await open()
    await again.putArchive(inPieces(await archived(store(), id, { format: 'tar' })))
    assert.equal((await again.finalize()).manifestDigest, manifestDigest)
  })

  test('an archive may be of what lies below a prefix', async () => {
    const { id } = await varied(store())
    for (const format of FORMATS) {
      const draft = await open()
      await draft.putArchive(inPieces(await archived(store(), id, { format, prefix: 'bin' })))
      assert.deepEqual(await listed(store(), (await draft.finalize()).id), ['file bin/tool', 'symlink bin/link'])
      await rejectsWith('file_not_found', archived(store(), id, { format, prefix: 'bi' }))
    }
    await rejectsWith('not_found', archived(store(), '019ad000-0000-7000-8000-000000000000', { format: 'tar' }))
  })

  test('names with backslashes come back by tar, and are refused for zip, where programs disagree on what they mean', async () => {
    const { id, manifestDigest } = await sealed(store(), repository(), { 'a\\b': 'a', 'c/d': 'd' })
    await rejectsWith('input_invalid', archived(store(), id, { format: 'zip' }))
    await archived(store(), id, { format: 'zip', prefix: 'c' })
    const draft = await open()
    await draft.putArchive(inPieces(await archived(store(), id, { format: 'tar' })))
    assert.equal((await draft.finalize()).manifestDigest, manifestDigest)
  })

  test('a package without entries is an archive without entries', async () => {
    const { id, manifestDigest } = await (await open()).finalize()
    for (const format of FORMATS) {
      const draft = await open()
      assert.deepEqual(await draft.putArchive(inPieces(await archived(store(), id, { format }))), { files: 0, symlinks: 0, directories: 0, bytes: 0 })
      assert.equal((await draft.finalize()).manifestDigest, manifestDigest)
    }
  })

  test('a sealed package takes no archive', async () => {
    const { id } = await sealed(store(), repository(), { a: 'a' })
    const draft = await store().packages.resume(id)
    await rejectsWith('state_conflict', draft.putArchive(inPieces(tarArchive([{ name: 'b' }]))))
  })

  test('a stop ends the archive, in and out', async () => {
    const draft = await open()
    const stop = new AbortController()
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield tarArchive([{ name: 'a' }]).subarray(0, 512)
      stop.abort()
      await new Promise(() => {})
    }
    await rejectsWith('aborted', draft.putArchive(source(), { signal: stop.signal }))
    const { id } = await varied(store())
    await rejectsWith('aborted', archived(store(), id, { format: 'tar', signal: AbortSignal.abort() }))
  })
}
