import { createHash } from 'node:crypto'
import { type Dirent, watch } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RunConflictError, RunDisposedError, StoreError, TreeRefusedError } from '../../core/errors.ts'

/** How folders are watched. */
export interface RunWatch<T> {
  /** A run is taken when nothing in it has changed for so long, ms. */
  readonly settleMs: number
  /** How often to look, ms. */
  readonly pollMs: number
  readonly signal: AbortSignal
  /** Takes a run in; the same one may be given again, after a restart. @throws TreeRefusedError for one that is not complete */
  readonly ingest: (folder: string) => Promise<T>
  readonly onIngested: (folder: string, taken: T) => Promise<void>
  /** Called once for each state in which a run is refused, and each time that another failure keeps it from being taken. */
  readonly onRefused: (folder: string, error: StoreError) => Promise<void>
}

interface Sighting {
  /** Names, sizes and times of everything in it. */
  readonly state: string
  /** Since when it has been so, on the clock of `performance.now()`. */
  readonly since: number
  /** `taken` is for ever; what is `refused` is looked at again when it has changed. */
  readonly outcome: 'waiting' | 'taken' | 'refused'
}

/** By this file a run is known. */
const MARK = 'run.json'
/** How deep below the watched folder runs are looked for. */
const DEPTH = 4

/** Takes in every complete run below a folder, and those that come, until the signal aborts. What was refused is tried again when it has changed. */
export async function watchRuns<T>(folder: string, options: RunWatch<T>): Promise<void> {
  await readdir(folder)
  let known: ReadonlyMap<string, Sighting> = new Map()
  using hints = new Hints(folder)
  while (!options.signal.aborted) {
    const seen = new Map<string, Sighting>()
    for (const run of await runsBelow(folder, DEPTH)) {
      if (options.signal.aborted) return
      seen.set(run, await look(run, known.get(run), options))
    }
    known = seen
    await hints.next(options.pollMs, options.signal)
  }
}

async function look<T>(run: string, before: Sighting | undefined, options: RunWatch<T>): Promise<Sighting> {
  if (before?.outcome === 'taken') return before
  const now = performance.now()
  const state = await stateOf(run)
  if (before?.state !== state) return { state, since: now, outcome: 'waiting' }
  if (before.outcome === 'refused' || now - before.since < options.settleMs) return before
  try {
    await options.onIngested(run, await options.ingest(run))
    return { ...before, outcome: 'taken' }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    if (options.signal.aborted) return before
    await options.onRefused(run, error)
    // Anything else may be over the next time.
    return { ...before, since: now, outcome: isFinal(error) ? 'refused' : 'waiting' }
  }
}

function isFinal(error: StoreError): boolean {
  return error instanceof TreeRefusedError || error instanceof RunConflictError || error instanceof RunDisposedError
}

/** Folders that hold a run; what lies inside of a run is none. */
async function runsBelow(folder: string, depth: number): Promise<readonly string[]> {
  const entries = await entriesOf(folder)
  if (entries.some((entry) => entry.name === MARK && entry.isFile())) return [folder]
  if (depth === 0) return []
  const found: string[] = []
  for (const entry of entries) if (entry.isDirectory()) found.push(...(await runsBelow(join(folder, entry.name), depth - 1)))
  return found.toSorted()
}

async function stateOf(folder: string): Promise<string> {
  const hash = createHash('sha256')
  const visit = async (path: string): Promise<void> => {
    for (const entry of (await entriesOf(path)).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const file = join(path, entry.name)
      if (entry.isDirectory()) await visit(file)
      else {
        const { size = -1, mtimeMs = -1 } = (await stat(file).catch(() => undefined)) ?? {}
        hash.update(JSON.stringify([file, size, mtimeMs]))
      }
    }
  }
  await visit(folder)
  return hash.digest('hex')
}

/** What is removed while it is looked at holds nothing. */
async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch(() => [])
}

/** Wakes early when the folder says that something changed; where it cannot, only time does. */
class Hints {
  #changed: (() => void) | undefined
  readonly #stop: () => void

  constructor(folder: string) {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#changed?.())
      watcher.on('error', () => undefined)
      this.#stop = () => watcher.close()
    } catch {
      this.#stop = () => undefined
    }
  }

  async next(ms: number, signal: AbortSignal): Promise<void> {
    const end = new AbortController()
    this.#changed = () => end.abort()
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, end.signal]) }).catch(() => undefined)
    this.#changed = undefined
  }

  [Symbol.dispose](): void {
    this.#stop()
  }
}
