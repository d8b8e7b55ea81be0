import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { digestOf, rawSha256 } from '../core/digest.ts'
import { uuidv4 } from '../core/uuid.ts'
import type { Clock } from '../ports/clock.ts'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import { examine, type ExaminationOptions, type Finding } from './doctor.ts'
import { createStore, openStore } from './open.ts'
import { storeFiles } from './store-files.ts'

const CHECKS = [
  'permissions',
  'space',
  'flushes',
  'settings',
  'store',
  'writers',
  'objects',
  'log',
  'references',
  'counters',
  'damage',
  'drafts',
  'uploads',
  'reviews',
  'clock',
]
const SMALL = Buffer.from('small '.repeat(100))
const LARGE = Buffer.alloc(3_000_000, 'large ')

let folder = ''
let origin = ''
let copies = 0

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  origin = join(folder, 'origin')
  await using store = await createStore(origin)
  const draft = await store.packages.open({ repository: 'a' })
  await draft.put('small', SMALL)
  await draft.put('large', LARGE)
  await draft.finalize()
  const open = await store.packages.open({ repository: 'b' })
  await open.put('waiting', Buffer.from('waiting'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

function copy(): string {
  copies += 1
  const directory = join(folder, `copy-${copies}`)
  cpSync(origin, directory, { recursive: true })
  return directory
}

function change(directory: string, ...statements: readonly string[]): void {
  const database = new DatabaseFile(storeFiles(directory).registry)
  for (const sql of statements) assert.ok(Number(database.prepare(sql).run().changes) > 0, sql)
  database.close()
}

async function findings(directory: string, options: ExaminationOptions = {}): Promise<ReadonlyMap<string, Finding>> {
  const found = await Array.fromAsync(examine(directory, { measureFlushes: false, ...options }))
  for (const { check, status, observed, advice } of found)
    assert.ok(observed !== '' && (status === 'ok') === (advice === undefined), `${check}: ${observed}`)
  return new Map(found.map((finding) => [finding.check, finding]))
}

/** What is not in order must be exactly this. */
async function troubles(
  directory: string,
  expected: Readonly<Record<string, 'warn' | 'fail'>>,
  options: ExaminationOptions = {},
): Promise<ReadonlyMap<string, Finding>> {
  const found = await findings(directory, options)
  const actual = [...found.values()].filter(({ status }) => status !== 'ok')
  assert.deepEqual(Object.fromEntries(actual.map(({ check, status }) => [check, status])), expected, JSON.stringify(actual, undefined, 2))
  return found
}

function objectOf(directory: string, bytes: Buffer): string {
  const database = new DatabaseFile(storeFiles(directory).registry)
  const row = database.prepare('select key from chunks join objects on objects.id = object_id where digest = ?').get(rawSha256(digestOf(bytes)))
  database.close()
  return join(storeFiles(directory).objects, String(row?.['key']))
}

const storeIdOf = (directory: string): string => readdirSync(storeFiles(directory).objects)[0] ?? ''

describe('a healthy store', () => {
  test('passes every check, and is left as it was', async () => {
    const directory = copy()
    const listing = (): readonly string[] =>
      readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => !/registry\.db-(wal|shm)$/.test(name))
    const before = { names: listing(), registry: readFileSync(storeFiles(directory).registry) }
    const found = await findings(directory, { measureFlushes: true })
    assert.deepEqual([...found.keys()], CHECKS)
    for (const { check, status, observed } of found.values()) {
      // A test may well run on a memory disk or a slow one.
      if (check !== 'flushes') assert.equal(status, 'ok', `${check}: ${observed}`)
    }
    assert.match(found.get('flushes')?.observed ?? '', /^a flush takes [\d.]+ [µm]s \(median of \d+; the slowest [\d.]+ [µm]s\) for the store$/)
    assert.match(found.get('references')?.observed ?? '', /^1 package, 5 chunks and \d+ references between them agree$/)
    assert.deepEqual(listing(), before.names)
    assert.ok(readFileSync(storeFiles(directory).registry).equals(before.registry))
  })

  test('passes while others write to it', async () => {
    const directory = copy()
    await using store = await openStore(directory)
    const draft = await store.packages.open({ repository: 'c' })
    await draft.put('f', Buffer.from('f'))
    const found = await troubles(directory, {})
    assert.match(found.get('writers')?.observed ?? '', /^1 process holds a lease/)
    assert.match(found.get('drafts')?.observed ?? '', /^2 open packages/)
  })
})

describe('a store that cannot be opened', () => {
  test('because it is not there, is told apart from one whose registry is lost', async () => {
    const nowhere = await troubles(join(folder, 'nowhere'), { store: 'fail' })
    assert.match(nowhere.get('store')?.advice ?? '', /artifact-store init/)
    const directory = copy()
    rmSync(storeFiles(directory).registry)
    const lost = await troubles(directory, { store: 'fail' })
    assert.match(lost.get('store')?.advice ?? '', /artifact-store recover/)
  })

  test('because its registry is no database, an empty one, or damaged inside', async () => {
    const noDatabase = copy()
    writeFileSync(storeFiles(noDatabase).registry, 'this is no database, '.repeat(1_000))
    assert.match((await troubles(noDatabase, { store: 'fail' })).get('store')?.advice ?? '', /artifact-store recover/)
    const empty = copy()
    writeFileSync(storeFiles(empty).registry, '')
    assert.match((await findings(empty)).get('store')?.observed ?? '', /the registry is empty/)
    const damaged = copy()
    const bytes = readFileSync(storeFiles(damaged).registry)
    bytes.fill(0x55, 4_096 * 3, 4_096 * 40)
    writeFileSync(storeFiles(damaged).registry, bytes)
    const found = await findings(damaged)
    assert.match((found.get('settings') ?? found.get('store'))?.advice ?? '', /artifact-store recover/)
    const inconsistent = copy()
    const image = readFileSync(storeFiles(inconsistent).registry)
    // How many pages are free, says the header of the file.
    image.writeUInt32BE(image.readUInt32BE(36) + 7, 36)
    writeFileSync(storeFiles(inconsistent).registry, image)
    const settings = (await troubles(inconsistent, { settings: 'fail' })).get('settings')
    assert.match(settings?.observed ?? '', /the structure of the registry is damaged/)
    assert.ok((settings?.examples?.length ?? 0) > 0)
  })

  test('because a newer release wrote it', async () => {
    const directory = copy()
    change(directory, "update settings set value = '99' where key = 'schema-version'")
    assert.match((await troubles(directory, { store: 'fail' })).get('store')?.advice ?? '', /newer/)
  })

  test('because its objects are gone, emptied or those of another store, is examined as far as its registry goes', async () => {
    const gone = copy()
    renameSync(storeFiles(gone).objects, `${storeFiles(gone).objects}.away`)
    const found = await troubles(gone, { store: 'fail' })
    assert.ok(found.has('references') && !found.has('objects'))
    const emptied = copy()
    rmSync(join(storeFiles(emptied).objects, storeIdOf(emptied)), { recursive: true })
    await troubles(emptied, { store: 'fail' })
    const exchanged = copy()
    const other = join(folder, 'other')
    await (await createStore(other)).close()
    rmSync(storeFiles(exchanged).objects, { recursive: true })
    cpSync(storeFiles(other).objects, storeFiles(exchanged).objects, { recursive: true })
    assert.match((await troubles(exchanged, { store: 'fail' })).get('store')?.observed ?? '', /does not know store/)
  })
})

describe('settings', () => {
  test('that another program changed are told', async () => {
    const directory = copy()
    const database = new DatabaseFile(storeFiles(directory).registry)
    database.exec('pragma journal_mode = delete')
    database.close()
    await troubles(directory, { settings: 'warn' })
    await (await openStore(directory)).close()
    await troubles(directory, {})
  })
})

describe('objects', () => {
  test('that are missing or cut short while packages need them are named', async () => {
    const missing = copy()
    const large = objectOf(missing, LARGE)
    rmSync(large)
    const found = await troubles(missing, { objects: 'fail' })
    assert.deepEqual(found.get('objects')?.examples, [large.slice(storeFiles(missing).objects.length + 1)])
    const cut = copy()
    truncateSync(objectOf(cut, LARGE), 2_000_000)
    truncateSync(objectOf(cut, SMALL), 500)
    assert.match((await troubles(cut, { objects: 'fail' })).get('objects')?.observed ?? '', /0 objects missing that packages need, 2 cut short/)
  })

  test('of a pack that was never closed are compared with how far it is named', async () => {
    const directory = copy()
    change(directory, 'update objects set size = 0, entries = 0')
    await troubles(directory, {})
    truncateSync(objectOf(directory, SMALL), 200)
    await troubles(directory, { objects: 'fail' })
  })

  test('that no row names are told and left where they are; those of another store, too', async () => {
    const directory = copy()
    const stray = join(storeFiles(directory).objects, storeIdOf(directory), uuidv4(), uuidv4())
    mkdirSync(join(stray, '..'))
    writeFileSync(stray, 'stray')
    const found = await troubles(directory, { objects: 'warn' })
    assert.match(found.get('objects')?.observed ?? '', /1 object of them \(5 bytes\) that the registry does not know/)
    assert.ok(existsSync(stray))
    rmSync(stray)
    mkdirSync(join(storeFiles(directory).objects, uuidv4()))
    writeFileSync(join(storeFiles(directory).objects, uuidv4()), 'foreign')
    assert.match((await troubles(directory, { objects: 'warn' })).get('objects')?.observed ?? '', /1 object of another store/)
  })

  test('that are damaged or gone but were healed elsewhere are no trouble any more, apart from their mention', async () => {
    const directory = copy()
    const old = objectOf(directory, LARGE)
    truncateSync(old, 1_000_000)
    {
      await using store = await openStore(directory)
      const problems = (await Array.fromAsync(store.packages.verify('all'))).filter(({ problem }) => problem !== undefined)
      assert.equal(problems.length, 1)
      assert.match((await troubles(directory, { objects: 'fail', damage: 'fail' })).get('damage')?.advice ?? '', /verify --all.*[Pp]ush/s)
      const draft = await store.packages.open({ repository: 'healer' })
      await draft.put('large', LARGE)
      await draft.finalize()
    }
    const found = await troubles(directory, { damage: 'warn' })
    assert.match(
      found.get('damage')?.examples?.[0] ?? '',
      new RegExp(`^${old.slice(storeFiles(directory).objects.length + 1)} from byte 0: .*healed`),
    )
    assert.match(found.get('objects')?.observed ?? '', /1 object damaged or gone that nothing needs any more/)
    const later = Date.now() + 31 * 86_400_000
    await troubles(directory, { drafts: 'warn' }, { clock: { now: () => later } })
  })
})

describe('writers', () => {
  test('that died with open packs are told', async () => {
    const directory = copy()
    const store = await openStore(directory)
    const draft = await store.packages.open({ repository: 'c' })
    await draft.put('f', Buffer.from('f'))
    change(directory, 'update leases set expires_at = 0 where name is null')
    const found = await troubles(directory, { writers: 'warn' })
    assert.match(found.get('writers')?.observed ?? '', /1 writer ended without closing the store, leaving 1 open pack/)
    change(directory, 'delete from leases where name is null')
    assert.match((await troubles(directory, { writers: 'warn' })).get('writers')?.observed ?? '', /0 writers ended .* 1 open pack/)
    await store.close()
  })
})

describe('rows that contradict each other', () => {
  const cases: readonly (readonly [what: string, sql: string, status: 'warn' | 'fail', observed: RegExp])[] = [
    ['a chunk that is gone', 'delete from chunks where id = 1', 'fail', /references to chunks that have no row/],
    ['an object row that is gone', 'delete from objects where kind = 0 and state = 2', 'fail', /1 chunks in objects that have no row/],
    ['an object to be deleted', 'update objects set state = 3 where kind = 0 and state = 2', 'fail', /1 chunks in objects that are to be deleted/],
    ['a chunk that lies nowhere', 'update chunks set object_id = null where id = 1', 'fail', /1 chunks that lie nowhere/],
    ['a held chunk that is condemned', 'update chunks set state = 2 where size = 600', 'fail', /references to chunks that are to be deleted/],
    ['a package that lets go of its manifest', 'delete from holders where kind = 3', 'fail', /1 packages that do not hold their own manifest/],
    ['an open package that lets go of a file', 'delete from holders where kind = 2', 'fail', /1 files of open packages that nothing holds/],
    ['a holder that is gone', 'insert into holders values (4, 999, 1)', 'warn', /1 references of owners that are gone/],
    [
      'a chunk that nobody remembers',
      "insert into chunks (domain, digest, size, object_id, offset, stored_length, codec, state, created_at) values (1, x'00', 1, 1, 0, 1, 0, 0, 0)",
      'warn',
      /1 chunks that nothing refers to/,
    ],
    [
      'entries without a package',
      "insert into draft_entries values (999, 'x', 1, '', null, 0, '', 0, 'y')",
      'warn',
      /1 entries of open packages that are gone/,
    ],
  ]
  for (const [what, sql, status, observed] of cases) {
    test(`such as ${what}, are found`, async () => {
      const directory = copy()
      change(directory, sql)
      const references = (await findings(directory)).get('references')
      assert.equal(references?.status, status, references?.observed ?? '')
      assert.match(references?.observed ?? '', observed)
    })
  }

  test('such as counters that cannot be true, are found', async () => {
    for (const sql of [
      'update objects set dead_bytes = 1000000000',
      'update objects set entries = 1 where kind = 1',
      'update objects set dead_bytes = -1',
    ]) {
      const directory = copy()
      change(directory, sql)
      assert.ok((await troubles(directory, { counters: 'warn' })).get('counters')?.examples?.length)
    }
  })
})

describe('the log', () => {
  test('that was edited is told', async () => {
    const directory = copy()
    change(directory, "update events set actor = 'x' where seq = 2")
    assert.match((await troubles(directory, { log: 'fail' })).get('log')?.observed ?? '', /^event 2 /)
  })

  test('of a registry restored from a backup is told, with what is in the objects since', async () => {
    const directory = copy()
    const backup = readFileSync(storeFiles(directory).registry)
    {
      await using store = await openStore(directory)
      const draft = await store.packages.open({ repository: 'later' })
      await draft.put('f', Buffer.from('later'))
      await draft.finalize()
    }
    writeFileSync(storeFiles(directory).registry, backup)
    const found = await troubles(directory, { log: 'fail', objects: 'warn' })
    assert.match(found.get('log')?.advice ?? '', /restored from a backup.*artifact-store recover/)
    assert.match(found.get('objects')?.advice ?? '', /artifact-store recover/)
  })

  test('whose mirror is behind is told when it should have caught up, and always when a part of it was removed', async () => {
    const behind = copy()
    change(behind, "update settings set value = '0' where key = 'mirrored-seq'")
    rmSync(join(storeFiles(behind).objects, storeIdOf(behind), 'log'), { recursive: true })
    const now = Date.now()
    await troubles(behind, {}, { clock: { now: () => now } })
    await troubles(behind, { log: 'warn' }, { clock: { now: () => now + 120_000 } })
    const removed = copy()
    rmSync(join(storeFiles(removed).objects, storeIdOf(removed), 'log'), { recursive: true })
    await troubles(removed, { log: 'fail' })
  })
})

describe('the clock', () => {
  test('that is behind the last event, jumps, or was set back under a lease is told', async () => {
    await troubles(origin, { clock: 'warn' }, { clock: { now: () => 1_000_000_000_000 } })
    let readings = 0
    const jumping: Clock = { now: () => Date.now() + (readings++ === 0 ? 0 : 3_000) }
    assert.match((await troubles(origin, { clock: 'warn' }, { clock: jumping })).get('clock')?.observed ?? '', /jumped by 3 s/)
    const directory = copy()
    change(directory, "insert into leases (owner, name, acquired_at, expires_at) values ('x', null, 0, 99999999999999)")
    assert.match((await troubles(directory, { clock: 'warn' })).get('clock')?.observed ?? '', /set back/)
  })
})

describe('open packages', () => {
  test('that expired are told', async () => {
    const later = Date.now() + 8 * 86_400_000
    assert.match((await troubles(origin, { drafts: 'warn' }, { clock: { now: () => later } })).get('drafts')?.advice ?? '', /7 days/)
  })
})

describe('permissions', () => {
  test('that let everybody change the store are told', async () => {
    const directory = copy()
    chmodSync(storeFiles(directory).registry, 0o666)
    const found = await troubles(directory, { permissions: 'warn' })
    assert.deepEqual(found.get('permissions')?.examples, [storeFiles(directory).registry])
  })
})
