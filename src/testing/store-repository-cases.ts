import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Store } from '../store/interface.ts'
import { bytes, rejectsWith, repository, sealed } from './store-case.ts'

/** Repositories, their policies, and what these do. */
export function repositoryCases(store: () => Store): void {
  test('a repository is made by its first package, counts them, and is found by name', async () => {
    const name = repository()
    await rejectsWith('not_found', store().repositories.get(name))
    await sealed(store(), name, { a: '1' })
    await sealed(store(), name, { a: '2' })
    const info = await store().repositories.get(name)
    assert.deepEqual([info.name, info.packages, info.policy], [name, 2, {}])
    await rejectsWith('name_invalid', store().repositories.get('No Name'))
  })

  test('repositories are listed in order of name, in pages, by what they begin with', async () => {
    const name = repository()
    for (const end of ['b', 'a', 'c']) await store().repositories.set(`${name}/${end}`, {})
    const page = await store().repositories.list(`${name}/`, { limit: 2 })
    assert.deepEqual(
      page.items.map((item) => item.name),
      [`${name}/a`, `${name}/b`],
    )
    const rest = await store().repositories.list(`${name}/`, { limit: 2, after: page.next ?? '' })
    assert.deepEqual([rest.items.map((item) => item.name), rest.next], [[`${name}/c`], undefined])
  })

  test('a policy is replaced as a whole, and what is off is left out', async () => {
    const name = repository()
    const made = await store().repositories.set(name, { defaultClass: 'raw-evidence', immutableTags: true, publicRead: false })
    assert.deepEqual(made.policy, { defaultClass: 'raw-evidence', immutableTags: true })
    assert.deepEqual((await store().repositories.set(name, { separationOfDuties: true })).policy, { separationOfDuties: true })
    assert.deepEqual((await store().repositories.get(name)).policy, { separationOfDuties: true })
  })

  test('a policy that cannot be is refused as a whole, and makes no repository', async () => {
    const name = repository()
    const refused: readonly object[] = [
      { defaultClas: 'raw-evidence' },
      { defaultClass: 'no-such-class' },
      { publicRead: 'yes' },
      { defaultClass: 'transient', minimumClass: 'raw-evidence' },
    ]
    for (const policy of refused) await rejectsWith('input_invalid', store().repositories.set(name, policy))
    await rejectsWith('not_found', store().repositories.get(name))
  })

  test('each change of a policy is one event, and setting the same again is none', async () => {
    const name = repository()
    await store().repositories.set(name, { immutableTags: true })
    await store().repositories.set(name, { immutableTags: true })
    await store().repositories.set(name, {})
    const { events } = await store().events.list({ repository: name, limit: 10 })
    assert.deepEqual(
      events.map(({ type, data }) => [type, data['policy']]),
      [
        ['repository.created', undefined],
        ['repository.policy-changed', { immutableTags: true }],
        ['repository.policy-changed', {}],
      ],
    )
  })

  test('packages without a class have the default one, and none is kept shorter than the minimum; what was sealed before stays as it was', async () => {
    const name = repository()
    const classOf = async (content: string, retentionClass?: string): Promise<string | undefined> => {
      const { id } = await sealed(store(), name, { content }, retentionClass === undefined ? {} : { retentionClass })
      return (await store().packages.get(id)).retentionClass
    }
    const before = await sealed(store(), name, { content: 'before' })
    await store().repositories.set(name, { defaultClass: 'summary-evidence', minimumClass: 'raw-evidence' })
    assert.equal(await classOf('none'), 'summary-evidence')
    assert.equal(await classOf('shorter', 'transient'), 'raw-evidence')
    assert.equal(await classOf('longer', 'release-evidence'), 'release-evidence')
    assert.equal((await store().packages.get(before.id)).retentionClass, undefined)
    assert.deepEqual((await store().packages.search({ repository: name, retentionClass: 'raw-evidence' })).items.length, 1)
  })

  test('a package is found by the class of one of its file sets', async () => {
    const name = repository()
    const fileSets = [{ name: 'logs', match: ['**/*.log'], class: 'transient' }]
    const { id } = await sealed(store(), name, { 'a.log': 'log', b: 'other' }, { fileSets, retentionClass: 'summary-evidence' })
    for (const retentionClass of ['transient', 'summary-evidence']) {
      const { items } = await store().packages.search({ repository: name, retentionClass })
      assert.deepEqual(
        items.map((item) => item.id),
        [id],
        retentionClass,
      )
    }
  })

  test('immutable tags can be set once, also by sealing, and cannot be moved or removed', async () => {
    const name = repository()
    await store().repositories.set(name, { immutableTags: true })
    const first = await sealed(store(), name, { a: '1' }, { tags: ['v1'] })
    const second = await sealed(store(), name, { a: '2' })
    await store().tags.set(name, 'v1', first.id)
    await rejectsWith('state_conflict', store().tags.set(name, 'v1', second.id))
    await rejectsWith('state_conflict', store().tags.remove(name, 'v1'))
    await store().tags.set(name, 'v2', second.id)
    const third = await store().packages.open({ repository: name, tags: ['v1'] })
    await third.put('a', bytes('3'))
    await rejectsWith('state_conflict', third.finalize())
    assert.equal((await store().packages.get(`${name}:v1`)).id, first.id)
    const same = await sealed(store(), name, { a: '1' }, { tags: ['v1'] })
    assert.deepEqual([same.id, same.reusedExisting], [first.id, true])
    await store().repositories.set(name, {})
    assert.equal((await third.finalize()).id, third.id)
    assert.equal((await store().packages.get(`${name}:v1`)).id, third.id)
  })

  test('one tag is found by name', async () => {
    const name = repository()
    const { id, manifestDigest } = await sealed(store(), name, { a: '1' }, { tags: ['v1'] })
    assert.deepEqual(await store().tags.get(name, 'v1'), { tag: 'v1', packageId: id, manifestDigest })
    await rejectsWith('not_found', store().tags.get(name, 'v2'))
    await rejectsWith('not_found', store().tags.get(repository(), 'v1'))
    await rejectsWith('name_invalid', store().tags.get(name, 'no tag'))
  })
}
