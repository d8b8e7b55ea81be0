import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Database } from '../registry/dialect.ts'
import type { Registry } from '../registry/registry.ts'
import { freezeDeadWriters } from '../store/reaper.ts'

const DRIVEN = fileURLToPath(new URL('driven-child.ts', import.meta.url))

/** What happens when a writer has said nothing for longer than its lease lasts. */
export async function takeForDead(registry: Registry): Promise<number> {
  await registry.write('age', (session) => session.query({ sql: 'update leases set expires_at = 1 where name is null', parameters: [] }))
  return freezeDeadWriters(registry)
}

/** Stops a process with SIGSTOP and waits until all of it stands still. */
export async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  for (let look = 0; !/^\d+ \(.*\) T/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')); look += 1) {
    assert.ok(look < 1_000, 'the process does not stop')
    await sleep(1)
  }
}

/** Stops a process, but not while it holds the lock of SQLite: then everybody waits for it, and nobody can take it for dead. */
export async function stopBetweenCommits(pid: number, database: Database): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    await stop(pid)
    if ((await database.begin()) !== undefined) return database.rollback()
    process.kill(pid, 'SIGCONT')
    await sleep(Math.random() * 20)
  }
  assert.fail('the process always holds the lock')
}

/** A process that does what it is told, see `driven-child.ts`. Killed when the test is over. */
export class Driven {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #answers: Interface

  constructor(t: TestContext, directory: string) {
    const child = spawn(process.execPath, [DRIVEN, directory], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.pid = child.pid ?? 0
    this.#answers = createInterface({ input: child.stdout })
    t.after(() => child.kill('SIGKILL'))
  }

  /** Says a line and waits for the answer. */
  async do(line: string): Promise<string> {
    const answer = once(this.#answers, 'line', { signal: AbortSignal.timeout(20_000) })
    this.#child.stdin?.write(`${line}\n`)
    return String((await answer)[0])
  }

  /** Lets it end in good order. */
  async end(): Promise<void> {
    const exit = once(this.#child, 'exit')
    this.#child.stdin?.end()
    assert.equal((await exit)[0], 0)
  }
}
