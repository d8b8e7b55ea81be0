import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { CollectionReport } from '../store/collector/collection-report.ts'
import type { CollectionSettings } from '../store/collector/collection-settings.ts'
import { Collector } from '../store/collector/collector.ts'
import type { StoreContext } from '../store/context.ts'
import { examine } from '../store/doctor.ts'
import { createStore, type StoreOptions } from '../store/open.ts'
import { closeContext, openContext } from '../store/open-context.ts'

/** Nothing waits for anything. */
export const AT_ONCE: Partial<CollectionSettings> = { graceMs: 0, drainMs: 0, eraseWithinMs: 0, auditEveryMs: 0 }

/** An empty store in a folder that goes with the test. */
export async function emptyStore(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'collection-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  await (await createStore(directory)).close()
  return directory
}

/** Works with the parts of a store, which are closed afterwards: then its packs are nobody's. */
export async function withParts<T>(directory: string, work: (context: StoreContext) => Promise<T>, options: StoreOptions = {}): Promise<T> {
  const context = await openContext(directory, options)
  try {
    return await work(context)
  } finally {
    await closeContext(context)
  }
}

/** One run in a process of its own, as it were. */
export function collect(directory: string, settings: Partial<CollectionSettings> = AT_ONCE): Promise<CollectionReport> {
  return withParts(directory, (context) => new Collector(context, settings).runOnce())
}

/** Runs until nothing is left to do, which must not take many. @returns the sum of what was deleted, bytes */
export async function collectAll(directory: string, settings: Partial<CollectionSettings> = AT_ONCE): Promise<number> {
  let deleted = 0
  for (let run = 0; run < 10; run += 1) {
    const report = await collect(directory, settings)
    assert.deepEqual([report.problems, report.stopped], [[], undefined])
    deleted += report.deleted.size
    const { reviewed, rewritten, settled } = report
    if (reviewed.kept + reviewed.condemned + rewritten.packs + report.deleted.objects + settled === 0) return deleted
  }
  return assert.fail('collection does not come to an end')
}

/** Asserts that a store is in order. */
export async function assertSound(directory: string): Promise<void> {
  for await (const { check, status, observed, examples } of examine(directory, { measureFlushes: false })) {
    assert.equal(status, 'ok', `${check}: ${observed} ${examples?.join(' ') ?? ''}`)
  }
}
