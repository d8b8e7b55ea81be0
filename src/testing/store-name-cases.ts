import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Store } from '../store/interface.ts'
import { bytes, rejectsWith, repository, sealed } from './store-case.ts'

/** What a run id does. */
export function runCases(store: () => Store): void {
  test('a run opened again continues; sealed, it returns its receipt and takes the run id as a tag', async () => {
    const name = repository()
    const draft = await store().packages.open({ repository: name, runId: 'run-7' })
    await draft.put('a', bytes('a'))
    const again = await store().packages.open({ repository: name, runId: 'run-7' })
    assert.deepEqual([again.id, again.status, again.reusedExisting], [draft.id, 'open', true])
    await again.put('b', bytes('b'))
    const receipt = await again.finalize()
    assert.equal(receipt.fileCount, 2)
    const third = await store().packages.open({ repository: name, runId: 'run-7' })
    assert.deepEqual([third.id, third.status, third.reusedExisting], [draft.id, 'finalized', true])
    assert.deepEqual(await third.finalize(), { ...receipt, reusedExisting: true })
    assert.equal((await store().packages.get(`${name}:run-7`)).id, receipt.id)
  })

  test('a run id with other facts is a conflict, open or sealed', async () => {
    const name = repository()
    await store().packages.open({ repository: name, runId: 'open', subject: 'one' })
    await rejectsWith('run_conflict', store().packages.open({ repository: name, runId: 'open', subject: 'two' }))
    await sealed(store(), name, {}, { runId: 'sealed', metadata: { a: 1 } })
    await rejectsWith('run_conflict', store().packages.open({ repository: name, runId: 'sealed', metadata: { a: 2 } }))
  })

  test('an aborted run can be begun anew', async () => {
    const name = repository()
    const draft = await store().packages.open({ repository: name, runId: 'r' })
    await draft.put('a', bytes('a'))
    await draft.abort()
    await rejectsWith('state_conflict', draft.put('b', bytes('b')))
    const next = await store().packages.open({ repository: name, runId: 'r' })
    assert.notEqual(next.id, draft.id)
    assert.equal((await next.finalize()).fileCount, 0)
  })
}

/** Tags and searches. */
export function nameCases(store: () => Store): void {
  test('tags move, lead to packages, and are listed in order', async () => {
    const name = repository()
    const first = await sealed(store(), name, { a: '1' }, { tags: ['v1', 'latest'] })
    const second = await sealed(store(), name, { a: '2' }, { tags: ['v2', 'latest'] })
    assert.equal((await store().packages.get(`${name}:latest`)).id, second.id)
    await store().tags.set(name, 'stable', first.id)
    assert.equal((await store().packages.get(`${name}:stable`)).id, first.id)
    const page = await store().tags.list(name, { limit: 3 })
    assert.deepEqual(
      page.items.map((item) => item.tag),
      ['latest', 'stable', 'v1'],
    )
    const rest = await store().tags.list(name, { limit: 3, ...(page.next === undefined ? {} : { after: page.next }) })
    assert.deepEqual(
      rest.items.map((item) => item.tag),
      ['v2'],
    )
    await store().tags.remove(name, 'v1')
    await rejectsWith('not_found', store().packages.get(`${name}:v1`))
    assert.equal((await store().packages.get(`${name}@${first.manifestDigest}`)).id, first.id)
  })

  test('searches find by every fact, newest first, in pages', async () => {
    const name = repository()
    const made: string[] = []
    for (const n of [1, 2, 3]) {
      const facts = {
        producer: `p${n % 2}`,
        subject: `s${n}`,
        runId: `run ${n}`,
        type: `t${n}`,
        metadata: { n, even: n % 2 === 0 },
        tags: [`tag${n}`],
      }
      made.push((await sealed(store(), `${name}/sub${n}`, { f: String(n) }, { ...facts, retentionClass: n === 3 ? 'transient' : 'raw-evidence' })).id)
    }
    const find = async (filter: object): Promise<string[]> =>
      (await store().packages.search({ repository: name, ...filter })).items.map((item) => item.id)
    const [one, two, three] = made
    assert.deepEqual(await find({}), [three, two, one])
    assert.deepEqual(await find({ producer: 'p1' }), [three, one])
    assert.deepEqual(await find({ subject: 's2' }), [two])
    assert.deepEqual(await find({ runId: 'run 1' }), [one])
    assert.deepEqual(await find({ type: 't3' }), [three])
    assert.deepEqual(await find({ retentionClass: 'transient' }), [three])
    assert.deepEqual(await find({ tag: 'tag2' }), [two])
    assert.deepEqual(await find({ metadata: { even: 'true' } }), [two])
    assert.deepEqual(await find({ metadata: { even: 'false', n: '3' } }), [three])
    assert.deepEqual(await find({ from: '2000-01-01', until: '2001-01-01' }), [])
    assert.deepEqual(await find({ repository: `${name}/sub1` }), [one])
    assert.deepEqual(await find({ repository: `${name}/sub` }), [])
    const page = await store().packages.search({ repository: name }, { limit: 2 })
    assert.deepEqual(
      page.items.map((item) => item.id),
      [three, two],
    )
    const rest = await store().packages.search({ repository: name }, { limit: 2, after: page.next ?? '' })
    assert.deepEqual([rest.items.map((item) => item.id), rest.next], [[one], undefined])
    const repositories = await store().repositories.list(name)
    assert.deepEqual(
      repositories.items.map((item) => [item.name, item.packages]),
      [1, 2, 3].map((n) => [`${name}/sub${n}`, 1]),
    )
  })
}
