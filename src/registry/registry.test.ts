import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { VersionUnsupportedError } from '../core/errors.ts'
import { ChainVerifier } from '../core/event.ts'
import { listEvents } from './events.ts'
import { createSchema, openRegistry } from './open.ts'
import type { Registry } from './registry.ts'
import { getSetting, setSetting } from './settings.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite } from './sqlite.ts'
import type { Session } from './statement.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registry-'))
})
after(() => rm(folder, { recursive: true, force: true }))

let made = 0
async function newRegistry(observe?: (step: string) => void): Promise<{ registry: Registry; file: string }> {
  made += 1
  const file = join(folder, `${made}.db`)
  const database = await openSqlite(file)
  await createSchema(database)
  return { registry: await openRegistry(database, { observe, batchBudget: Number.POSITIVE_INFINITY }), file }
}

function event(id: string): Parameters<Session['emit']>[0] {
  return { id, type: 'test.happened', tenant: 'default', resource: 'store', actor: 'os:test', data: { id } }
}

describe('the registry', () => {
  test('commits what is asked in one turn with one flush, and answers each', async () => {
    const steps: string[] = []
    const { registry } = await newRegistry((step) => steps.push(step))
    const answers = await Promise.all(
      [1, 2, 3].map((n) =>
        registry.write(`work-${n}`, async (session) => {
          await setSetting(session, 'created-at', String(n))
          return n * 10
        }),
      ),
    )
    assert.deepEqual(answers, [10, 20, 30])
    assert.deepEqual(
      steps,
      ['before-commit', 'committed'].flatMap((moment) => [1, 2, 3].map((n) => `registry.work-${n}:${moment}`)),
    )
    assert.equal(await getSetting(registry.reader, 'created-at'), '3')
    await registry.close()
  })

  test('fails a piece of work alone, whether or not it had changed something', async () => {
    const { registry } = await newRegistry()
    const [first, clean, dirty, last] = await Promise.allSettled([
      registry.write('first', (session) => setSetting(session, 'created-at', 'first')),
      registry.write('clean', () => Promise.reject(new Error('before any change'))),
      registry.write('dirty', async (session) => {
        await setSetting(session, 'log-id', 'must not stay')
        throw new Error('after a change')
      }),
      registry.write('last', (session) => setSetting(session, 'mirrored-seq', 'last')),
    ])
    assert.deepEqual([first.status, clean.status, dirty.status, last.status], ['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    assert.equal(await getSetting(registry.reader, 'created-at'), 'first')
    assert.equal(await getSetting(registry.reader, 'log-id'), undefined)
    assert.equal(await getSetting(registry.reader, 'mirrored-seq'), 'last')
    await registry.close()
  })

  test('keeps no event of work that failed, and numbers the others without a gap', async () => {
    const { registry } = await newRegistry()
    await Promise.allSettled([
      registry.write('one', async (session) => session.emit(event('one'))),
      registry.write('failing', async (session) => {
        session.emit(event('lost'))
        throw new Error('after emitting')
      }),
      registry.write('two', async (session) => session.emit(event('two'))),
    ])
    const events = await listEvents(registry.reader, 0, 10)
    assert.deepEqual(
      events.map(({ seq, id }) => [seq, id]),
      [
        [1, 'one'],
        [2, 'two'],
      ],
    )
    const chain = new ChainVerifier()
    for (const logged of events) chain.add(logged)
    await registry.close()
  })

  test('waits for a writer of another connection instead of failing, and lets the event loop run meanwhile', async () => {
    const { registry, file } = await newRegistry()
    const other = new DatabaseFile(file)
    other.exec('begin immediate')
    let turns = 0
    const ticking = setInterval(() => {
      turns += 1
      if (turns === 20) other.exec('rollback')
    }, 1)
    await registry.write('waiting', (session) => setSetting(session, 'created-at', 'at last'))
    clearInterval(ticking)
    assert.ok(turns >= 20, `the event loop turned ${turns} times`)
    assert.equal(await getSetting(registry.reader, 'created-at'), 'at last')
    other.close()
    await registry.close()
  })

  test('refuses a schema that a newer release wrote, and leaves it as it is', async () => {
    const { registry, file } = await newRegistry()
    await registry.write('newer', (session) => setSetting(session, 'schema-version', '999'))
    await registry.close()
    await assert.rejects(
      openSqlite(file).then((database) => openRegistry(database)),
      VersionUnsupportedError,
    )
  })
})
