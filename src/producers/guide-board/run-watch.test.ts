import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { ServerUnreachableError, TreeRefusedError } from '../../core/errors.ts'
import { watchRuns } from './run-watch.ts'

/** A watch over an empty folder, and what it did. */
class Watched {
  readonly folder: string
  readonly taken: string[] = []
  readonly refused: string[] = []
  readonly stop = new AbortController()
  ingest: (run: string) => Promise<void> = () => Promise.resolve()
  #running: Promise<void> = Promise.resolve()

  constructor(folder: string) {
    this.folder = folder
  }

  start(settleMs = 20): void {
    this.#running = watchRuns(this.folder, {
      settleMs,
      pollMs: 5,
      signal: this.stop.signal,
      ingest: (run) => this.ingest(run),
      onIngested: (run) => {
        this.taken.push(this.#name(run))
        return Promise.resolve()
      },
      onRefused: (run, error) => {
        this.refused.push(`${this.#name(run)} ${error.code}`)
        return Promise.resolve()
      },
    })
  }

  async end(): Promise<void> {
    this.stop.abort()
    await this.#running
  }

  async write(path: string, content = '{}'): Promise<void> {
    await mkdir(join(this.folder, path, '..'), { recursive: true })
    await writeFile(join(this.folder, path), content)
  }

  #name(run: string): string {
    return run.slice(this.folder.length + 1)
  }
}

async function watched(t: TestContext): Promise<Watched> {
  const folder = await mkdtemp(join(tmpdir(), 'watch-'))
  const watch = new Watched(folder)
  t.after(async () => {
    await watch.end()
    await rm(folder, { recursive: true })
  })
  return watch
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe('a folder that is watched', { timeout: 60_000 }, () => {
  test('gives every run in it, at any depth, and those that come, once', async (t) => {
    const watch = await watched(t)
    await watch.write('a/run.json')
    await watch.write('deep/er/b/run.json')
    await watch.write('deep/er/b/inside/run.json')
    await watch.write('none/report.md')
    watch.start()
    await until(() => watch.taken.length === 2)
    await watch.write('c/run.json')
    await until(() => watch.taken.length === 3)
    await watch.write('d/run.json')
    await until(() => watch.taken.length === 4)
    assert.deepEqual(watch.taken.toSorted(), ['a', 'c', 'd', 'deep/er/b'])
  })

  test('gives a run only when nothing in it changes any more', async (t) => {
    const watch = await watched(t)
    await watch.write('a/run.json')
    await watch.write('a/other', '0')
    watch.start(300)
    let changed = performance.now()
    for (let change = 1; change <= 20; change += 1) {
      await new Promise((resolve) => setTimeout(resolve, 25))
      // One that came too late to keep it from settling proves nothing.
      if (watch.taken.length > 0) return assert.ok(performance.now() - changed >= 290, 'it was given while it changed')
      await watch.write('a/other', 'x'.repeat(change))
      changed = performance.now()
    }
    await until(() => watch.taken.length === 1)
    assert.ok(performance.now() - changed >= 290)
  })

  test('tells of a run that is refused once, and gives it again when it has changed', async (t) => {
    const watch = await watched(t)
    let isWhole = false
    watch.ingest = (run) => (isWhole || run.endsWith('c') ? Promise.resolve() : Promise.reject(new TreeRefusedError('incomplete', [])))
    await watch.write('a/run.json')
    await watch.write('b/run.json')
    watch.start()
    await until(() => watch.refused.length === 2)
    await watch.write('c/run.json')
    await until(() => watch.taken.includes('c'))
    assert.deepEqual(watch.refused.toSorted(), ['a tree_refused', 'b tree_refused'])
    isWhole = true
    await watch.write('a/plan.json', '{"more": true}')
    await until(() => watch.taken.includes('a'))
    assert.equal(watch.refused.length, 2)
  })

  test('gives a run again as long as the store is away', async (t) => {
    const watch = await watched(t)
    let tries = 0
    watch.ingest = () => {
      tries += 1
      return tries < 4 ? Promise.reject(new ServerUnreachableError('away')) : Promise.resolve()
    }
    await watch.write('a/run.json')
    watch.start(1)
    await until(() => watch.taken.length === 1)
    assert.equal(watch.refused.length, 3)
  })

  test('that is not there is an error at once', async () => {
    const watch = new Watched(join(tmpdir(), 'there-is-no-such-folder'))
    watch.start()
    await assert.rejects(watch.end(), { code: 'ENOENT' })
  })
})
