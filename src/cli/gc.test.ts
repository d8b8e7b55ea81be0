import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, describe, test } from 'node:test'
import { openStore } from '../store/open.ts'
import { runCli } from './cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'gc-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function cli(home: string, ...given: readonly string[]): Promise<Result> {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const into = (pieces: string[]): Writable =>
    new Writable({
      write: (piece, _encoding, taken) => {
        pieces.push(String(piece))
        taken()
      },
    })
  const code = await runCli({
    arguments: given,
    environment: { HOME: folder, ARTIFACT_STORE_HOME: home, ARTIFACT_STORE_CACHE: join(folder, 'cache') },
    platform: 'linux',
    stdin: Readable.from([]),
    stdout: into(stdout),
    stderr: into(stderr),
    signals: new EventEmitter(),
    kill: () => assert.fail('killed'),
  })
  return { code, stdout: stdout.join(''), stderr: stderr.join('') }
}

let made = 0
/** A store with a package, and the garbage of one that was given up. */
async function wasted(): Promise<string> {
  made += 1
  const home = join(folder, `store-${made}`)
  const file = join(folder, 'file')
  writeFileSync(file, 'kept '.repeat(1_000))
  assert.equal((await cli(home, 'init')).code, 0)
  assert.equal((await cli(home, 'push', file, '--repository', 'demo/a')).code, 0)
  const store = await openStore(home)
  const draft = await store.packages.open({ repository: 'demo/a' })
  await draft.put('large', Buffer.alloc(3_000_000, 'garbage'))
  await draft.abort()
  await store.close()
  return home
}

describe('gc', () => {
  test('tells with --dry-run what it would remove, and removes nothing', async () => {
    const home = await wasted()
    for (let time = 0; time < 2; time += 1) {
      const { code, stdout } = await cli(home, 'gc', '--dry-run', '--grace', '0s')
      assert.equal(code, 0)
      assert.match(stdout, /Would let go of 1 chunk \(2\.9 MiB, stored in 2\.9 MiB\)/)
    }
  })

  test('removes it when its grace is over, and says so', async () => {
    const home = await wasted()
    const early = await cli(home, 'gc')
    assert.match(early.stdout, /Let go of 0 chunks/)
    assert.match(early.stdout, /1 chunk waits for the grace/)
    const { code, stdout } = await cli(home, 'gc', '--grace', '0s', '--limit-rate', '10M')
    assert.equal(code, 0, stdout)
    assert.match(stdout, /Let go of 1 chunk \(2\.9 MiB\)/)
    assert.match(stdout, /1 object \(2\.9 MiB\) waits for the last readers/)
  })

  test('prints one object with --json, and nothing else', async () => {
    const { stdout, stderr } = await cli(await wasted(), 'gc', '--grace', '0s', '--json')
    const report: unknown = JSON.parse(stdout)
    assert.ok(typeof report === 'object' && report !== null && 'reviewed' in report && 'waiting' in report && 'retention' in report)
    assert.equal(stderr, '')
  })

  test('refuses times and rates that it does not understand', async () => {
    const home = await wasted()
    for (const wrong of [
      ['--grace', '1 day'],
      ['--grace', '-1h'],
      ['--limit-rate', 'fast'],
      ['--limit-rate', '0'],
    ]) {
      const { code, stderr } = await cli(home, 'gc', ...wrong)
      assert.equal(code, 2, wrong.join(' '))
      assert.match(stderr, new RegExp(wrong[0] ?? ''))
    }
  })
})
