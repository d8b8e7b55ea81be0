import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultRedactionRules } from '../adapters/redactor-rules/redaction-rule.ts'
import { createRuleRedactor } from '../adapters/redactor-rules/redactor-rules.ts'
import { followGuide } from '../testing/guide-run.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { startStateHub } from '../testing/state-hub.ts'
import { collect } from '../testing/store-case.ts'
import { runCli } from './cli.ts'
import { CommandFailure } from './command-failure.ts'
import { readRedactionRules } from './redaction-file.ts'

const recorded = fileURLToPath(new URL('../../examples/guide-board/cmis-tck-run', import.meta.url))
let folder = ''
let home = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'guide-board-cli-'))
  home = join(folder, 'store')
  await cli('init')
})
after(() => rm(folder, { recursive: true, force: true }))

interface Surroundings {
  readonly environment?: Readonly<Record<string, string>>
  readonly signals?: EventEmitter
  /** Is told what was printed so far. */
  readonly onOutput?: (stdout: string) => void
}

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function cli(...given: readonly (string | Surroundings)[]): Promise<Result> {
  const surroundings = given.find((item) => typeof item !== 'string') ?? {}
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const collector = (pieces: string[], onPiece?: () => void): Writable =>
    new Writable({
      write: (piece, _encoding, taken) => {
        pieces.push(String(piece))
        onPiece?.()
        taken()
      },
    })
  const code = await runCli({
    arguments: given.filter((item) => typeof item === 'string'),
    environment: { HOME: folder, ARTIFACT_STORE_HOME: home, ...surroundings.environment },
    platform: 'linux',
    stdin: Readable.from([]),
    stdout: collector(stdout, () => surroundings.onOutput?.(stdout.join(''))),
    stderr: collector(stderr),
    signals: surroundings.signals ?? new EventEmitter(),
    kill: () => assert.fail('killed'),
  })
  return { code, stdout: stdout.join(''), stderr: stderr.join('') }
}

async function done(...given: readonly (string | Surroundings)[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...given)
  assert.equal(code, 0, stderr + stdout)
  return stdout
}

const ingest = ['guide-board', 'ingest', recorded]

describe('guide-board ingest', { timeout: 120_000 }, () => {
  test('prints the same receipt for a run however often it is given, embedded and over the network', async () => {
    const first = JSON.parse(await done(...ingest, '--repository', 'boards/a', '--tag', 'latest', '--json')) as Record<string, unknown>
    assert.deepEqual(Object.keys(first), ['packageId', 'manifestDigest', 'fileCount', 'reusedExisting'])
    assert.deepEqual(JSON.parse(await done(...ingest, '--repository', 'boards/a', '--tag', 'latest', '--json')), { ...first, reusedExisting: true })
    assert.match(await done(...ingest, '--repository', 'boards/a'), /reusedExisting +true \(the run was stored before\)/)
    const { address } = await serveNewStore()
    const remote = JSON.parse(await done(...ingest, '--url', address, '--json')) as Record<string, unknown>
    assert.deepEqual([remote['manifestDigest'], remote['reusedExisting']], [first['manifestDigest'], false])
  })

  test('refuses a run that is not complete with every reason', async () => {
    const empty = join(folder, 'empty')
    await mkdir(empty)
    const { code, stderr } = await cli('guide-board', 'ingest', empty)
    assert.equal(code, 4)
    assert.match(stderr, /is no complete run of guide-board: 8 things are wrong with it:\n(.*\n)*.*reports\/report\.md.* is missing/)
  })

  test('tells State Hub where the run belongs, and says so when it cannot', async () => {
    const hub = await startStateHub(join(folder, 'hub.db'))
    const environment = { ARTIFACT_STORE_STATE_HUB_URL: `${hub.url}/` }
    await done('push', join(recorded, 'reports'), '--repository', 'boards/told', '--producer', 'another')
    const given = [...ingest, '--repository', 'boards/told', '--workstream', 'ws 1/ü', '--task', 't1']
    assert.equal((await cli(...given, { environment })).stderr, '')
    const told = hub.entries().filter(({ detail }) => detail['repository'] === 'boards/told')
    assert.deepEqual(
      told.map(({ workstream_id: workstream, task_id: task }) => [workstream, task]),
      [['ws 1/ü', 't1']],
    )
    hub.answer(503)
    const { code, stderr } = await cli(...ingest, '--repository', 'boards/away', { environment })
    assert.equal(code, 0)
    assert.match(stderr, /state-hub:guide-board is not told yet \(127\.0\.0\.1:\d+ answered 503.*; it will be at the next run/)
    assert.match(await done('events', 'deliveries'), /away +1 attempts.*answered 503/)
    hub.answer(422)
    assert.equal((await cli(...ingest, '--repository', 'boards/away', { environment })).stderr, '')
    assert.match(await done('events', 'deliveries'), / ok\n +refused +event \d+, .*answered 422/)
    await hub.stop()
  })

  test('--watch stores what comes, tells of what it refuses, and ends when it is told to', async () => {
    const runs = join(folder, 'runs')
    await mkdir(join(runs, 'broken'), { recursive: true })
    await writeFile(join(runs, 'broken', 'run.json'), '{}')
    const signals = new EventEmitter()
    const lines = (stdout: string): readonly Record<string, unknown>[] =>
      stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    let copied: Promise<void> | undefined
    const onOutput = (stdout: string): void => {
      const seen = lines(stdout)
      // A run appears at once, as one does that is moved into place.
      if (seen.length === 1)
        copied ??= cp(recorded, join(folder, 'moving'), { recursive: true }).then(() => rename(join(folder, 'moving'), join(runs, 'good')))
      if (seen.length === 2) signals.emit('SIGTERM')
    }
    const { code, stdout } = await cli('guide-board', 'ingest', '--watch', runs, '--repository', 'boards/watched', '--settle', '0s', '--json', {
      signals,
      onOutput,
    })
    await copied
    assert.equal(code, 0)
    const [refused, stored] = lines(stdout)
    assert.deepEqual([refused?.['directory'], refused?.['code']], [join(runs, 'broken'), 'tree_refused'])
    assert.deepEqual([stored?.['directory'], stored?.['fileCount'], stored?.['reusedExisting']], [join(runs, 'good'), 64, false])
  })
})

describe('a file of redaction rules', () => {
  const rulesOf = async (content: string, name = 'rules.toml'): ReturnType<typeof readRedactionRules> => {
    await writeFile(join(folder, name), content)
    return readRedactionRules(join(folder, name))
  }
  const redacted = async (rules: Awaited<ReturnType<typeof readRedactionRules>>, text: string): Promise<string> => {
    const pieces = createRuleRedactor(rules).redact('f', Readable.from([Buffer.from(text)]))
    return Buffer.concat(await collect(pieces)).toString()
  }

  test('adds to the default rules, or takes their place', async () => {
    const added = await rulesOf('[[rules]]\nname = "board-key"\nafter = ["X-Board-Key : ", "schlüssel="]\nends_at = ";\\n"\n')
    assert.equal(added.length, defaultRedactionRules.length + 1)
    assert.equal(
      await redacted(added, 'x-board-key:  a b;c\nSchlüssel=geheim;\npassword=p\n'),
      'x-board-key:  [redacted:board-key];c\nSchlüssel=[redacted:board-key];\npassword=[redacted:secret-parameter]\n',
    )
    const only = await rulesOf('{"defaults": false, "rules": [{"name": "k", "after": ["k="]}]}', 'rules.json')
    assert.equal(await redacted(only, 'k=1\npassword=p\n'), 'k=[redacted:k]\npassword=p\n')
  })

  test('that is not right is wrong usage, with what is wrong', async () => {
    for (const [content, problem] of [
      ['nonsense', /rules\.toml: /],
      ['rule = 1', /unknown key "rule"/],
      ['defaults = "no"', /true or false/],
      ['[[rules]]\nname = "A"\nafter = ["x"]', /lower-case/],
      ['[[rules]]\nname = "a"', /list of texts/],
      ['[[rules]]\nname = "a"\nafter = [" "]', /list of texts/],
      ['[[rules]]\nname = "a"\nafter = ["x"]\nends_at = ""', /ends_at/],
      ['[[rules]]\nname = "cookie-header"\nafter = ["x"]', /two rules "cookie-header"/],
      [`[[rules]]\nname = "a"\nafter = ["${'x'.repeat(300)}"]`, /too long/],
    ] as const) {
      await assert.rejects(rulesOf(content), (error) => error instanceof CommandFailure && problem.test(error.message), content)
    }
  })
})

test('every command of the guide to guide-board does what the guide says', { timeout: 120_000 }, async () => {
  await using hub = await startStateHub(join(folder, 'guide-hub.db'))
  const { blocks, stdout, stderr } = await followGuide('guide-board.md', { RUN: recorded, STATE_HUB_URL: hub.url })
  assert.ok(blocks >= 6)
  assert.match(stderr, /broken is no complete run of guide-board: \d+ things are wrong with it/)
  assert.match(stdout, /reusedExisting +false/)
  assert.match(stdout, /reusedExisting +true \(the run was stored before\)/)
  assert.match(stdout, /Wrote 64 files/)
  assert.match(stdout, /ended with 4/)
  assert.match(stdout, /X-Board-Key: \[redacted:board-key\]; Host: a\n/)
  assert.match(stdout, /"redacted\.board-key":"1"/)
  assert.match(stdout, /state-hub:guide-board +told up to event \d+ of \d+ +ok/)
  assert.deepEqual(
    hub.effective().map(({ detail, workstream_id: workstream, task_id: task }) => [detail['repository'], detail['run_id'], workstream, task]),
    [
      ['boards/cmis', 'cmis-tck-recorded-1', null, null],
      ['boards/cmis', 'cmis-tck-2', null, null],
      ['boards/linked', 'cmis-tck-recorded-1', 'ws-7', 't-3'],
    ],
  )
})
