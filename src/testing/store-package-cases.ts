import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import type { Store } from '../store/interface.ts'
import { bytes, collect, readAll, rejectsWith, repository, sealed } from './store-case.ts'

/** What a sealed package is and shows. */
export function packageCases(store: () => Store): void {
  test('a sealed package gives back every byte, size, type and flag', async () => {
    const draft = await store().packages.open({ repository: repository(), type: 'report', producer: 'suite' })
    const put = await draft.put('a/report.json', bytes('{"ok":true}'))
    assert.deepEqual(put, { digest: digestOf(bytes('{"ok":true}')), size: 11 })
    await draft.put('run.sh', bytes('#!/bin/sh\n'), { executable: true, mediaType: 'text/x-shellscript' })
    await draft.put('empty', bytes(''))
    const receipt = await draft.finalize()
    assert.deepEqual([receipt.fileCount, receipt.size, receipt.reusedExisting, receipt.id], [3, 21, false, draft.id])
    const files = await collect(store().files.list(receipt.id))
    assert.deepEqual(
      files.map((file) => file.kind === 'file' && [file.path, file.size, file.mediaType, file.executable]),
      [
        ['a/report.json', 11, 'application/json', false],
        ['empty', 0, 'application/octet-stream', false],
        ['run.sh', 10, 'text/x-shellscript', true],
      ],
    )
    assert.equal(await readAll(store().files.read(receipt.id, 'a/report.json')), '{"ok":true}')
    assert.equal(await readAll(store().files.read(receipt.id, 'empty')), '')
    const info = await store().packages.get(receipt.id)
    assert.deepEqual([info.type, info.producer, info.status], ['application/vnd.artifact-store.report', 'suite', 'finalized'])
  })

  test('before it is sealed a package shows how far it is to whoever may write it, and nothing can be found or read', async () => {
    const name = repository()
    const draft = await store().packages.open({ repository: name, subject: 'half-done', tags: ['soon'] })
    await draft.put('a', bytes('abc'))
    assert.deepEqual((await store().packages.search({ repository: name })).items, [])
    const { id, status, subject, fileCount, size, manifestDigest } = await store().packages.get(draft.id)
    assert.deepEqual([id, status, subject, fileCount, size, manifestDigest], [draft.id, 'open', 'half-done', 1, 3, undefined])
    await rejectsWith('not_found', store().packages.get(`${name}:soon`))
    await rejectsWith('not_found', collect(store().files.list(draft.id)))
    await rejectsWith('not_found', store().packages.manifest(draft.id))
    await draft.abort()
    await rejectsWith('not_found', store().packages.get(draft.id))
  })

  test('sealing is repeatable and adding to what is sealed is refused', async () => {
    const draft = await store().packages.open({ repository: repository() })
    await draft.put('a', bytes('a'))
    const first = await draft.finalize()
    assert.deepEqual(await draft.finalize(), first)
    await rejectsWith('state_conflict', draft.put('b', bytes('b')))
    await rejectsWith('state_conflict', draft.attach([{ path: 'b', digest: digestOf(bytes('a')), size: 1 }]))
  })

  test('the same content in the same repository is one package with two ids; elsewhere it is its own', async () => {
    const name = repository()
    const first = await sealed(store(), name, { 'x/y': 'content', z: '' })
    const again = await store().packages.open({ repository: name, tags: ['again'] })
    await again.put('z', bytes(''))
    await again.put('x/y', bytes('content'))
    const second = await again.finalize()
    assert.deepEqual(second, { ...first, reusedExisting: true })
    assert.equal((await store().packages.get(again.id)).id, first.id)
    assert.deepEqual((await store().packages.get(first.id)).tags, ['again'])
    assert.deepEqual(await again.finalize(), second)
    const elsewhere = await sealed(store(), repository(), { 'x/y': 'content', z: '' })
    assert.equal(elsewhere.manifestDigest, first.manifestDigest)
    assert.equal(elsewhere.reusedExisting, false)
    assert.notEqual(elsewhere.id, first.id)
  })

  test('a package without files is a package', async () => {
    const receipt = await sealed(store(), repository(), {})
    assert.deepEqual([receipt.fileCount, receipt.size], [0, 0])
    assert.deepEqual(await collect(store().files.list(receipt.id)), [])
  })

  test('the manifest is returned byte for byte under its digest', async () => {
    const receipt = await sealed(store(), repository(), { a: '1' })
    const manifest = await store().packages.manifest(receipt.id)
    assert.equal(digestOf(manifest.bytes), receipt.manifestDigest)
    assert.equal(manifest.mediaType, 'application/vnd.oci.image.manifest.v1+json')
  })

  test('file sets become children of an index, and every file is in its set', async () => {
    const draft = await store().packages.open({
      repository: repository(),
      retentionClass: 'summary-evidence',
      fileSets: [
        { name: 'raw', match: ['raw/**'], class: 'raw-evidence' },
        { name: 'logs', match: ['**/*.log'], class: 'transient' },
      ],
    })
    for (const path of ['raw/a.log', 'raw/b.bin', 'c.log', 'summary.md']) await draft.put(path, bytes(path))
    const receipt = await draft.finalize()
    const manifest = await store().packages.manifest(receipt.id)
    assert.equal(manifest.mediaType, 'application/vnd.oci.image.index.v1+json')
    const sets = (await collect(store().files.list(receipt.id))).map((file) => file.kind === 'file' && [file.path, file.fileSets])
    assert.deepEqual(sets, [
      ['summary.md', []],
      ['c.log', ['logs']],
      ['raw/a.log', ['logs', 'raw']],
      ['raw/b.bin', ['raw']],
    ])
    for (const path of ['raw/a.log', 'summary.md']) assert.equal(await readAll(store().files.read(receipt.id, path)), path)
  })

  test('verification reads every file and document of a package and finds nothing wrong with it', async () => {
    const receipt = await sealed(store(), repository(), { a: 'one', b: 'two' })
    const lines = await collect(store().packages.verify(receipt.id))
    assert.deepEqual(
      lines.filter((line) => line.path !== undefined).map((line) => line.path),
      ['a', 'b'],
    )
    assert.ok(lines.some((line) => line.digest === receipt.manifestDigest))
    assert.ok(lines.every((line) => line.problem === undefined))
  })
}
