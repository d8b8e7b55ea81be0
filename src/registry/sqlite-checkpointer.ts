import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { DatabaseFile } from './sqlite-driver.ts'

/** Pages of 4 KiB that may wait in the write-ahead log before they are moved into the database. */
const PAGES_BEFORE_CHECKPOINT = 8_192
/** How many commits pass between two looks at the log's length (which cost microseconds). */
const COMMITS_BETWEEN_LOOKS = 16

/**
 * Keeps the write-ahead log short without making any commit wait: a checkpoint runs on a thread of its own when the log has grown. What a short
 * process leaves is moved by the last one to close the file.
 */
export class Checkpointer {
  readonly #file: string
  readonly #database: DatabaseFile
  #commits = 0
  #running: { readonly worker: Worker; readonly ended: Promise<unknown> } | undefined

  constructor(file: string, database: DatabaseFile) {
    this.#file = file
    this.#database = database
  }

  /** To be called after each commit. */
  committed(): void {
    this.#commits += 1
    if (this.#running !== undefined || this.#commits % COMMITS_BETWEEN_LOOKS !== 0) return
    const state = this.#database.prepare('pragma wal_checkpoint(noop)').get()
    if (Number(state?.['log']) - Number(state?.['checkpointed']) < PAGES_BEFORE_CHECKPOINT) return
    // From source the thread's file ends in .ts, as this one does; built, both end in .js.
    const thread = new URL(`./sqlite-checkpoint-thread${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(thread, { workerData: this.#file })
    worker.unref()
    // A checkpoint that fails leaves the log as it is; the next one, or closing the file, does its work.
    const ended = once(worker, 'exit')
      .catch(() => undefined)
      .finally(() => (this.#running = undefined))
    this.#running = { worker, ended }
  }

  /** Waits for one that runs. */
  async close(): Promise<void> {
    // Nothing else may be left that keeps the process alive meanwhile.
    this.#running?.worker.ref()
    await this.#running?.ended
  }
}
