import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { matchesRepository, parseRepositoryPattern } from '../core/access.ts'
import { parsePackageId, parseRepositoryName, parseTagName, parseTenantName, type RepositoryName } from '../core/name.ts'
import { uuidv7 } from '../core/uuid.ts'
import { createSchema, openRegistry } from './open.ts'
import { packageSearch, type PackageQuery, searchPackages } from './package-search.ts'
import { insertPackage } from './packages.ts'
import type { Registry } from './registry.ts'
import { createRepository, repositoryList, writeRepositoryPolicy } from './repositories.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite } from './sqlite.ts'
import { Session } from './statement.ts'
import { setTag } from './tags.ts'

/** More than are all looked at, so that each way of searching is taken. */
const PACKAGES = 5_000
const START = 1_700_000_000_000

interface Made {
  readonly id: number
  readonly repository: RepositoryName
  readonly producer: string
  readonly subject: string
  readonly runId: string
  readonly type: string
  readonly classes: readonly string[]
  readonly tags: readonly string[]
  readonly metadata: ReadonlyMap<string, string>
  readonly finalizedAt: number
}

const repositories = ['one', 'one/sub', 'two/a', 'two/b', 'two', 'twofold', 'public', ...Array.from({ length: 40 }, (_, n) => `many/r${n}`)].map(
  parseRepositoryName,
)
const made: Made[] = []

let folder = ''
let file = ''
let registry: Registry
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'search-'))
  file = join(folder, 'registry.db')
  const database = await openSqlite(file)
  await createSchema(database)
  registry = await openRegistry(database, { batchBudget: Number.POSITIVE_INFINITY })
  await registry.write('fill', fill)
})
after(async () => {
  await registry.close()
  await rm(folder, { recursive: true })
})

async function fill(session: Session): Promise<void> {
  const ids = new Map<RepositoryName, number>()
  for (const name of repositories) ids.set(name, await createRepository(session, { tenant: parseTenantName('default'), name, createdAt: START }))
  await writeRepositoryPolicy(session, ids.get(parseRepositoryName('public')) ?? 0, '{"publicRead":true}', true)
  for (let n = 0; n < PACKAGES; n += 1) {
    const facts = {
      repository: repositories[n % 2 === 0 ? (n % 4) / 2 : (n * 7) % repositories.length] ?? parseRepositoryName('one'),
      producer: n % 10 === 0 ? 'rare' : 'often',
      subject: `s${n % 7}`,
      runId: `run-${n}`,
      type: n % 50 === 0 ? 'application/x.rare' : 'application/x.often',
      classes: n % 4 === 0 ? ['summary', 'raw'] : n % 31 === 0 ? ['odd'] : ['summary'],
      tags: [...(n < 100 ? [`t${n % 3}`] : []), ...(n % 2 === 0 ? [`even-${n % 10}`] : [])],
      metadata: new Map([
        ['branch', n % 3 === 1 ? 'feature' : 'main'],
        ['number', String(n % 100)],
      ]),
      // Many at the same moment, and a clock that once went back.
      finalizedAt: START + Math.floor(n / 5) * 1_000 - (n > 4_000 ? 500_000 : 0),
    }
    made.push({ ...facts, id: await insert(session, n, ids.get(facts.repository) ?? 0, facts) })
  }
}

async function insert(session: Session, n: number, repository: number, facts: Omit<Made, 'id'>): Promise<number> {
  const digest = Buffer.alloc(32)
  digest.writeUInt32BE(n)
  const { producer, subject, runId, type, classes, tags, metadata, finalizedAt } = facts
  const id = await insertPackage(
    session,
    {
      uuid: parsePackageId(uuidv7(finalizedAt)),
      repository_id: repository,
      run_id: runId,
      type,
      producer,
      subject,
      retention_class: classes[0] ?? null,
      manifest_digest: digest,
      media_type: 'x/y',
      document_digest: digest,
      file_count: 0,
      size: 0,
      opened_at: finalizedAt,
      finalized_at: finalizedAt,
      mode: 'none',
      expires_at: null,
    },
    [],
    metadata,
  )
  for (const [index, name] of classes.entries()) {
    await session.query({
      sql: `insert into package_parts (package_id, set_key, stage, stage_at, retention_class, ending, cutoff_at) values (?, ?, 0, 0, ?, 'review', 0)`,
      parameters: [id, String(index), name],
    })
  }
  for (const tag of tags) await setTag(session, repository, parseTagName(tag), id)
  return id
}

/** What a search should find, by looking at everything. */
function expected(query: PackageQuery): readonly number[] {
  const holders = new Map<string, number>()
  for (const { id, repository, tags } of made) for (const tag of tags) holders.set(`${repository}:${tag}`, id)
  const matches = (one: Made): boolean =>
    (query.readable === 'all' || one.repository === 'public' || query.readable.some((pattern) => matchesRepository(pattern, one.repository))) &&
    (query.repository === undefined || one.repository === query.repository || one.repository.startsWith(`${query.repository}/`)) &&
    (query.producer === undefined || one.producer === query.producer) &&
    (query.subject === undefined || one.subject === query.subject) &&
    (query.runId === undefined || one.runId === query.runId) &&
    (query.type === undefined || one.type === query.type) &&
    (query.retentionClass === undefined || one.classes.includes(query.retentionClass)) &&
    (query.status === undefined || query.status === 'finalized') &&
    (query.tag === undefined || holders.get(`${one.repository}:${query.tag}`) === one.id) &&
    (query.from === undefined || one.finalizedAt >= query.from) &&
    (query.until === undefined || one.finalizedAt < query.until) &&
    [...(query.metadata ?? [])].every(([key, value]) => one.metadata.get(key) === value)
  const found = made.filter(matches).toSorted((left, right) => right.finalizedAt - left.finalizedAt || right.id - left.id)
  return found.map(({ id }) => id)
}

async function allPages(query: PackageQuery): Promise<readonly number[]> {
  const found: number[] = []
  let after: PackageQuery['after']
  for (;;) {
    const page = await searchPackages(registry.reader, after === undefined ? query : { ...query, after })
    found.push(...page.map(({ id }) => id))
    assert.ok(found.length <= PACKAGES, 'pages repeat each other')
    const last = page.at(-1)
    if (last === undefined || page.length < query.limit) return found
    after = { finalizedAt: last.finalized_at, id: last.id }
  }
}

const pattern = parseRepositoryPattern
const time = fc.integer({ min: -10_000, max: 1_010_000 }).map((offset) => START + offset)
const filters = fc.record({
  repository: fc.constantFrom('one', 'one/sub', 'two', 'two/a', 'many', 'many/r7', 'public', 'none').map(parseRepositoryName),
  producer: fc.constantFrom('rare', 'often', 'nobody'),
  subject: fc.constantFrom('s0', 's5'),
  runId: fc.constantFrom('run-0', 'run-4999', 'run-x'),
  type: fc.constantFrom('application/x.rare', 'application/x.often'),
  retentionClass: fc.constantFrom('summary', 'raw', 'odd'),
  status: fc.constantFrom<'finalized' | 'purged'>('finalized', 'purged'),
  tag: fc.constantFrom('t0', 'even-4', 'none').map(parseTagName),
  from: time,
  until: time,
  metadata: fc.constantFrom(
    new Map([['branch', 'main']]),
    new Map([['number', '42']]),
    new Map([
      ['branch', 'feature'],
      ['number', '1'],
    ]),
  ),
})
const filterNames = ['repository', 'producer', 'subject', 'runId', 'type', 'retentionClass', 'status', 'tag', 'from', 'until', 'metadata'] as const
const readables = fc.constantFrom<PackageQuery['readable']>(
  'all',
  'all',
  [],
  [pattern('two/**')],
  [pattern('many/**'), pattern('two')],
  [pattern('one'), pattern('one/**')],
  [pattern('**')],
)
/** A few filters at a time: more find next to nothing. */
const queries: fc.Arbitrary<PackageQuery> = fc
  .tuple(readables, fc.constantFrom(401, 999), filters, fc.subarray([...filterNames], { maxLength: 4 }))
  .map(([readable, limit, all, names]) => ({ readable, limit, ...Object.fromEntries(names.map((name) => [name, all[name]])) }))

describe('a search', () => {
  test('finds, page by page, exactly what looking at everything finds, whatever filters are combined', async () => {
    await fc.assert(
      fc.asyncProperty(queries, async (query) => assert.deepEqual(await allPages(query), expected(query))),
      { numRuns: 150 },
    )
  })

  const single: Readonly<Record<string, Partial<PackageQuery>>> = {
    'nothing at all': {},
    'a repository': { repository: parseRepositoryName('one/sub') },
    'a few large repositories': { repository: parseRepositoryName('one') },
    'a repository with others below it': { repository: parseRepositoryName('two') },
    'many repositories': { repository: parseRepositoryName('many') },
    'a producer': { producer: 'often' },
    'a subject': { subject: 's1' },
    'a run': { runId: 'run-7' },
    'a type': { type: 'application/x.often' },
    'a class that many have': { retentionClass: 'summary' },
    'a class that few have': { retentionClass: 'odd' },
    'a class of a part': { retentionClass: 'raw' },
    'a status': { status: 'finalized' },
    'a tag': { tag: parseTagName('even-4') },
    'metadata that many have': { metadata: new Map([['branch', 'main']]) },
    'metadata that few have': { metadata: new Map([['number', '42']]) },
    'a time': { from: START + 10_000, until: START + 20_000 },
    'most of the time': { from: START + 10_000 },
    'what a caller of few repositories may read': { readable: [pattern('two/**')] },
    'what a caller of many repositories may read': { readable: [pattern('many/**')] },
    'many things at once': { producer: 'often', subject: 's1', metadata: new Map([['branch', 'main']]), repository: parseRepositoryName('many') },
    'many things, one of them rare': { producer: 'often', type: 'application/x.rare', readable: [pattern('one'), pattern('two/**')] },
  }

  for (const [what, filter] of Object.entries(single)) {
    test(`by ${what} reads no table as a whole, neither in the search nor in what it counts before`, async () => {
      const plans: string[] = []
      const probe = new DatabaseFile(file)
      const planned = await packageSearch(watched(probe, plans), { readable: 'all', limit: 50, ...filter })
      assert.ok(planned !== undefined)
      plans.push(...planOf(probe, planned.sql, planned.parameters))
      probe.close()
      const scans = plans.filter((line) => line.startsWith('SCAN '))
      const inOrder = /^SCAN packages USING INDEX packages_by_finalized_at$/
      assert.deepEqual(
        scans.filter((line) => !inOrder.test(line) && !/^SCAN (found|chosen|\(subquery-\d+\)|repositories USING (COVERING )?INDEX .*)$/.test(line)),
        [],
        plans.join('\n'),
      )
    })
  }

  for (const what of [
    'nothing at all',
    'a repository',
    'a producer',
    'a subject',
    'a type',
    'a status',
    'a class that many have',
    'metadata that many have',
    'most of the time',
    'many repositories',
  ]) {
    test(`by ${what} sorts nothing`, async () => {
      const probe = new DatabaseFile(file)
      for (const after of [{}, { after: { finalizedAt: START + 500_000, id: 2_500 } }]) {
        const planned = await packageSearch(registry.reader, { readable: 'all', limit: 50, ...single[what], ...after })
        assert.ok(planned !== undefined)
        const plan = planOf(probe, planned.sql, planned.parameters)
        assert.ok(!plan.some((line) => line.includes('TEMP B-TREE FOR ORDER BY')), plan.join('\n'))
      }
      probe.close()
    })
  }

  test('for nothing that there is asks for no page', async () => {
    assert.equal(await packageSearch(registry.reader, { readable: 'all', limit: 10, repository: parseRepositoryName('none') }), undefined)
    assert.equal(
      await packageSearch(registry.reader, { readable: [pattern('none/**')], limit: 10, repository: parseRepositoryName('one') }),
      undefined,
    )
    assert.equal(await packageSearch(registry.reader, { readable: 'all', limit: 10, producer: 'often', subject: 'nobody' }), undefined)
  })
})

describe('a list of repositories', () => {
  for (const readable of ['all', [], [pattern('one'), pattern('many/**')]] as const) {
    test(`goes through names in their order, for ${readable === 'all' ? 'everybody' : `${readable.length} patterns`}`, () => {
      const probe = new DatabaseFile(file)
      const { sql, parameters } = repositoryList(registry.reader, { readable, prefix: 'm', after: 'many/r2', limit: 10 })
      const plan = planOf(probe, sql, parameters)
      assert.ok(
        plan.every((line) => !/^SCAN |TEMP B-TREE/.test(line)),
        plan.join('\n'),
      )
      probe.close()
    })
  }
})

function planOf(probe: DatabaseFile, sql: string, parameters: readonly (string | number | bigint | null | Uint8Array)[]): readonly string[] {
  return probe
    .prepare(`explain query plan ${sql}`)
    .all(...parameters)
    .map((row) => String(row['detail']))
}

/** The reader, noting how each query would be answered. */
function watched(probe: DatabaseFile, plans: string[]): Session {
  const { reader } = registry
  return new Session(reader.dialect, {
    all: (query) => {
      plans.push(...planOf(probe, query.sql, query.parameters))
      return reader.query(query)
    },
    run: () => assert.fail('a search changes nothing'),
  })
}
