import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTar } from '../core/tar-reader.ts'
import type { Store } from '../store/interface.ts'
import { bytes, collect, readAll, rejectsWith, repository, sealed } from './store-case.ts'

/** A store whose time a test can move: days pass, and at the end of each what is due is done. */
export type PassDays = (days: number) => Promise<void>

const hold = { kind: 'legal', matter: 'Case 7', authority: 'Counsel', reason: 'litigation' }

/** How long packages are kept, and what deletes them. `pass` undefined: what needs time is skipped. */
export function retentionCases(store: () => Store, pass: PassDays | undefined): void {
  ruleCases(store)
  deletionCases(store)
  holdCases(store)
  timeCases(store, pass)
}

function ruleCases(store: () => Store): void {
  test('retention tells of each file set what it was promised', async () => {
    const draft = await store().packages.open({
      repository: repository(),
      retentionClass: 'summary-evidence',
      fileSets: [{ name: 'raw', match: ['raw/**'], class: 'raw-evidence' }],
    })
    await draft.put('raw/a', bytes('a'))
    await draft.put('b', bytes('b'))
    const { id } = await draft.finalize()
    const info = await store().retention.show(id)
    assert.deepEqual([info.packageId, info.stage, info.mode, info.holds], [id, 'retained', 'governance', []])
    assert.deepEqual(
      info.parts.map(({ set, stage, class: name, duration, disposition }) => [set, stage, name, duration, disposition]),
      [
        ['', 'kept', 'summary-evidence', 'P365D', 'review'],
        ['raw', 'kept', 'raw-evidence', 'P30D', 'review'],
      ],
    )
    assert.equal(info.expiresAt, (await store().packages.get(id)).expiresAt)
    const { steps } = await store().retention.explain(id)
    assert.deepEqual(
      steps.map(({ rule, set, effect }) => [rule, set, effect]),
      [
        ['class', '', 'notes'],
        ['expiry', '', 'keeps'],
        ['class', 'raw', 'notes'],
        ['expiry', 'raw', 'keeps'],
        ['mode', undefined, 'notes'],
        ['expiry', undefined, 'keeps'],
      ],
    )
  })

  test('an extension ends strictly later, and covers all file sets unless it names some', async () => {
    const { id } = await sealed(store(), repository(), { a: '1' }, { retentionClass: 'raw-evidence' })
    const later = await store().retention.extend(id, { expiresAt: '2999-01-31', reason: 'still needed' })
    assert.equal(later.expiresAt, '2999-01-31T00:00:00.000Z')
    await rejectsWith('state_conflict', store().retention.extend(id, { expiresAt: '2999-01-31T00:00:00Z', reason: 'x' }))
    await rejectsWith('input_invalid', store().retention.extend(id, { expiresAt: '2001-01-01', reason: 'x' }))
    await rejectsWith('input_invalid', store().retention.extend(id, { expiresAt: '2999-02-01', reason: '' }))
    await rejectsWith('input_invalid', store().retention.extend(id, { expiresAt: 'soon', reason: 'x' }))
    await rejectsWith('input_invalid', store().retention.extend(id, { expiresAt: '3000-01-01', reason: 'x', sets: ['raw'] }))
    await rejectsWith('not_found', store().retention.extend(`${repository()}:none`, { expiresAt: '3000-01-01', reason: 'x' }))
  })

  test('shortening bypasses governance, with a reason, and compliance cannot be bypassed', async () => {
    const { id } = await sealed(store(), repository(), { a: '1' }, { retentionClass: 'release-evidence' })
    const { expiresAt = '' } = await store().retention.show(id)
    const earlier = new Date(Date.parse(expiresAt) - 1_000).toISOString()
    await rejectsWith('forbidden', store().retention.shorten(id, { expiresAt: earlier, reason: 'x', bypass: false }))
    assert.equal((await store().retention.shorten(id, { expiresAt: earlier, reason: 'x', bypass: true })).expiresAt, earlier)
    await rejectsWith('retained', store().retention.shorten(id, { expiresAt: '2001-01-01', reason: 'x', bypass: true }))
    assert.equal((await store().retention.setMode(id, { mode: 'compliance', reason: 'audit' })).mode, 'compliance')
    await rejectsWith('retained', store().retention.shorten(id, { expiresAt: earlier, reason: 'x', bypass: true }))
    await rejectsWith('state_conflict', store().retention.setMode(id, { mode: 'governance', reason: 'x' }))
  })

  test('classes are those of the beginning and the operator’s own', async () => {
    const names = (await store().retention.classes()).map(({ name }) => name)
    assert.deepEqual(names.slice(0, 5), ['transient', 'raw-evidence', 'summary-evidence', 'release-evidence', 'permanent-record'])
    const made = await store().retention.setClass({ name: 'suite', duration: 'P18M', minimum: 30, disposition: 'review' })
    assert.deepEqual(made, { name: 'suite', duration: 'P1Y6M', minimum: 'P30D', mode: 'governance', disposition: 'review' })
    assert.ok((await store().retention.classes()).some(({ name }) => name === 'suite'))
    const { id } = await sealed(store(), repository(), { a: '1' }, { retentionClass: 'suite' })
    assert.deepEqual(
      (await store().retention.show(id)).parts.map(({ class: name, duration }) => [name, duration]),
      [['suite', 'P1Y6M']],
    )
    await rejectsWith('input_invalid', store().retention.setClass({ name: 'suite', disposition: 'review' }))
    await rejectsWith('input_invalid', store().retention.setClass({ name: 'Suite', duration: 1, disposition: 'review' }))
    await rejectsWith('input_invalid', store().packages.open({ repository: repository(), retentionClass: 'nowhere' }))
    await store().retention.setClass({ name: 'suite', duration: 'P2Y', minimum: 30, disposition: 'review' })
    assert.deepEqual(await store().retention.reschedule('suite', { reason: 'new rule' }), { packages: 1 })
    assert.equal((await store().retention.show(id)).parts[0]?.duration, 'P2Y')
  })

  test('the clock is trusted, and accepting it changes nothing', async () => {
    assert.equal((await store().retention.clock()).state, 'trusted')
    assert.equal((await store().retention.acceptClock({ reason: 'x' })).state, 'trusted')
  })
}

function deletionCases(store: () => Store): void {
  test('what nothing keeps is deleted when somebody asks, can be read no more, and comes back', async () => {
    const name = repository()
    const { id } = await sealed(store(), name, { a: '1' }, { tags: ['latest'] })
    assert.equal((await store().retention.delete(id, { reason: 'pushed by mistake' })).stage, 'soft-deleted')
    await rejectsWith('state_conflict', store().retention.delete(id))
    const error = await rejectsWith('purged', readAll(store().files.read(id, 'a')))
    assert.equal(error.detail['packageId'], id)
    await rejectsWith('purged', collect(store().files.list(id)))
    await rejectsWith('purged', store().packages.document(id))
    await rejectsWith('not_found', store().packages.get(`${name}:latest`))
    assert.deepEqual((await store().tags.list(name)).items, [])
    assert.equal((await store().packages.get(id)).status, 'deleted')
    assert.deepEqual(
      (await store().packages.search({ repository: name, status: 'deleted' })).items.map((item) => item.id),
      [id],
    )
    const [deletion] = await store().retention.certificates(id)
    assert.deepEqual([deletion?.state, deletion?.authority, deletion?.reason], ['deleted', 'request', 'pushed by mistake'])
    assert.equal((await store().retention.undelete(id)).stage, 'finalized')
    assert.equal(await readAll(store().files.read(`${name}:latest`, 'a')), '1')
    await rejectsWith('not_found', store().retention.certificates(id))
    await rejectsWith('state_conflict', store().retention.undelete(id))
  })

  test('what its retention keeps is not deleted, and the answer has the rule', async () => {
    const { id } = await sealed(store(), repository(), { a: '1' }, { retentionClass: 'raw-evidence' })
    const error = await rejectsWith('retained', store().retention.delete(id))
    assert.deepEqual([error.detail['class'], error.detail['expiresAt']], ['raw-evidence', (await store().packages.get(id)).expiresAt])
    const forever = await sealed(store(), repository(), { a: '1' }, { retentionClass: 'permanent-record' })
    await rejectsWith('retained', store().retention.delete(forever.id))
  })

  test('pushing what was deleted takes it back', async () => {
    const name = repository()
    const { id } = await sealed(store(), name, { a: '1' })
    await store().retention.delete(id)
    const again = await sealed(store(), name, { a: '1' })
    assert.deepEqual([again.id, again.reusedExisting], [id, true])
    assert.equal(await readAll(store().files.read(id, 'a')), '1')
  })

  test('a plan that is not there cannot be shown or approved', async () => {
    await rejectsWith('not_found', store().retention.approve(`sha256:${'0'.repeat(64)}`))
    await rejectsWith('not_found', store().retention.planItems(`sha256:${'0'.repeat(64)}`))
    await rejectsWith('digest_invalid', store().retention.plan('latest'))
  })
}

function holdCases(store: () => Store): void {
  test('what is held is not deleted until the hold is released', async () => {
    const { id } = await sealed(store(), repository(), { a: '1' })
    const placed = await store().holds.place({ ...hold, packageId: id })
    assert.deepEqual([placed.state, placed.packageId, placed.matter], ['standing', id, 'Case 7'])
    const error = await rejectsWith('held', store().retention.delete(id))
    assert.deepEqual(error.detail['holds'], [placed.id])
    assert.deepEqual((await store().retention.show(id)).holds, [placed.id])
    assert.ok((await store().retention.explain(id)).steps.some(({ rule, text }) => rule === 'hold' && text.includes('Case 7')))
    assert.deepEqual(await store().holds.get(placed.id), placed)
    assert.equal((await store().holds.release(placed.id, { reason: 'settled' })).state, 'released')
    await rejectsWith('state_conflict', store().holds.release(placed.id, { reason: 'again' }))
    assert.equal((await store().retention.delete(id)).stage, 'soft-deleted')
  })

  test('a hold that selects catches what comes later', async () => {
    const name = repository()
    const { id: holdId } = await store().holds.place({ ...hold, selector: { repository: name, subject: 'board' } })
    const held = await sealed(store(), `${name}/deep`, { a: '1' }, { subject: 'board' })
    const free = await sealed(store(), name, { a: '1' }, { subject: 'other' })
    await rejectsWith('held', store().retention.delete(held.id))
    assert.equal((await store().retention.delete(free.id)).stage, 'soft-deleted')
    await store().holds.release(holdId, { reason: 'settled' })
    assert.equal((await store().retention.delete(held.id)).stage, 'soft-deleted')
  })

  test('holds are listed a page at a time, those that were released only when asked for', async () => {
    const ids: string[] = []
    const name = repository()
    await sealed(store(), name, { a: '1' })
    for (const runId of ['r1', 'r2', 'r3']) ids.push((await store().holds.place({ ...hold, selector: { repository: name, runId } })).id)
    await store().holds.release(ids[1] ?? '', { reason: 'settled' })
    const listed = async (released: boolean): Promise<string[]> => {
      const found: string[] = []
      for (let after: string | undefined; ;) {
        const page = await store().holds.list({ limit: 2, released, ...(after === undefined ? {} : { after }) })
        found.push(...page.items.map(({ id }) => id))
        if (page.next === undefined) return found.filter((id) => ids.includes(id))
        after = page.next
      }
    }
    assert.deepEqual(await listed(false), [ids[0], ids[2]])
    assert.deepEqual(await listed(true), ids)
    for (const id of [ids[0], ids[2]]) await store().holds.release(id ?? '', { reason: 'settled' })
  })

  test('a hold says what it is, for what, and on what', async () => {
    await rejectsWith('input_invalid', store().holds.place({ ...hold }))
    await rejectsWith('input_invalid', store().holds.place({ ...hold, selector: {} }))
    await rejectsWith('input_invalid', store().holds.place({ ...hold, matter: '', selector: { producer: 'x' } }))
    await rejectsWith('input_invalid', store().holds.place({ ...hold, kind: 'whim', selector: { producer: 'x' } }))
    await rejectsWith('not_found', store().holds.place({ ...hold, packageId: '019ad000-0000-7000-8000-000000000000' }))
    await rejectsWith('not_found', store().holds.get('019ad000-0000-7000-8000-000000000000'))
  })
}

function timeCases(store: () => Store, pass: PassDays | undefined): void {
  const skip = pass === undefined ? 'the time of this store cannot be moved' : false
  const days: PassDays = pass ?? (() => Promise.reject(new TypeError('this store has no time')))

  test('what deletes itself goes after its end, and leaves a tombstone', { skip }, async () => {
    const name = repository()
    const { id } = await sealed(store(), name, { a: '1' }, { retentionClass: 'transient', runId: 'r1' })
    await days(9)
    await rejectsWith('purged', readAll(store().files.read(id, 'a')))
    const { status, fileCount, size } = await store().packages.get(id)
    assert.deepEqual([status, fileCount, size], ['purged', 1, 1])
    assert.deepEqual(
      (await store().packages.search({ repository: name })).items.map((item) => item.status),
      ['purged'],
    )
    await rejectsWith('run_disposed', store().packages.open({ repository: name, runId: 'r1', retentionClass: 'transient' }))
    await rejectsWith('purged', store().retention.undelete(id))
    await rejectsWith('held', store().holds.place({ ...hold, packageId: id }))
    const [certificate] = await store().retention.certificates(id)
    assert.equal(certificate?.authority, 'automatic')
    const again = await sealed(store(), name, { a: '1' }, { retentionClass: 'transient' })
    assert.notEqual(again.id, id)
  })

  test('a file set that expires leaves the others readable, and tombstones of its files', { skip }, async () => {
    const draft = await store().packages.open({
      repository: repository(),
      retentionClass: 'summary-evidence',
      fileSets: [{ name: 'raw', match: ['raw/**'], class: 'transient' }],
    })
    for (const path of ['raw/a', 'raw/b', 'c']) await draft.put(path, bytes(path))
    const { id, manifestDigest } = await draft.finalize()
    const index = await store().packages.manifest(id)
    assert.equal(index.digest, manifestDigest)
    await days(9)
    assert.deepEqual(
      (await store().files.expired(id)).map(({ fileSets, count, size }) => [fileSets, count, size]),
      [[['raw'], 2, 10]],
    )
    assert.deepEqual(
      (await collect(store().files.list(id))).map((file) => file.path),
      ['c'],
    )
    assert.equal(await readAll(store().files.read(id, 'c')), 'c')
    await rejectsWith('purged', store().files.stat(id, 'raw/a'))
    await rejectsWith('purged', readAll(store().files.read(id, 'raw/a')))
    const archived = await collect(readTar(store().files.archive(id, { format: 'tar' })))
    assert.deepEqual(
      archived.map(({ name }) => Buffer.from(name).toString()),
      ['c'],
    )
    await rejectsWith('purged', collect(store().files.archive(id, { format: 'zip', prefix: 'raw' })))
    assert.deepEqual((await store().packages.manifest(id)).bytes, index.bytes)
    for (const line of await collect(store().packages.verify(id))) assert.equal(line.problem, undefined)
    // The manifests of the sets, in the order of the index: that of the document, of no set, of raw.
    const children = readChildren(index.bytes)
    assert.equal(children.length, 3)
    await store().packages.manifest(id, children[1])
    await rejectsWith('purged', store().packages.manifest(id, children[2]))
  })

  test('what needs an approval goes when exactly that plan is approved', { skip }, async () => {
    const name = repository()
    const { id } = await sealed(store(), name, { a: '1' }, { retentionClass: 'raw-evidence' })
    await rejectsWith('not_found', store().retention.createPlan({ repository: name }))
    await days(32)
    await rejectsWith('approval_required', store().retention.delete(id))
    const plan = await store().retention.createPlan({ repository: name })
    assert.deepEqual([plan.state, plan.items, plan.repository], ['open', 1, name])
    assert.deepEqual(
      (await store().retention.planItems(plan.digest)).items.map(({ packageId, files }) => [packageId, files]),
      [[id, 1]],
    )
    const approved = await store().retention.approve(plan.digest, { reason: 'clean-up' })
    assert.deepEqual([approved.state, approved.approvedItems, approved.reason], ['completed', 1, 'clean-up'])
    assert.ok((await store().retention.plans()).items.some(({ digest }) => digest === plan.digest))
    assert.equal((await store().retention.show(id)).stage, 'soft-deleted')
    await days(2)
    assert.equal((await store().retention.show(id)).stage, 'purged')
  })
}

function readChildren(index: Uint8Array): readonly string[] {
  // Sound: an index of this store.
  const { manifests } = JSON.parse(Buffer.from(index).toString()) as { readonly manifests: readonly { readonly digest: string }[] }
  return manifests.map(({ digest }) => digest)
}
