import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ClosedError, InputInvalidError } from '../core/errors.ts'
import type { SchemaOutcome, SchemaTask } from './schema-task.ts'

/** What one schema may take, starting the thread included, in ms. */
const TIME_LIMIT_MS = 5_000
const MEMORY_LIMITS = { maxOldGenerationSizeMb: 256 }

interface Job {
  readonly task: SchemaTask
  readonly done: (outcome: SchemaOutcome) => void
  readonly failed: (error: Error) => void
}

/**
 * Holds metadata against schemas, on a thread of its own that is started when the first schema is used: a store without schemas loads nothing for them,
 * and a schema or a pattern in it that takes exponential time or memory costs its user an error, and nobody else anything.
 */
export class SchemaThread {
  readonly #limit: number
  readonly #waiting: Job[] = []
  #worker: Worker | undefined
  #running: Job | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** @param limit what one task may take, starting the thread included, in ms */
  constructor(limit: number = TIME_LIMIT_MS) {
    this.#limit = limit
  }

  /** @throws InputInvalidError when the schema takes too long or too much memory; ClosedError */
  run(task: SchemaTask): Promise<SchemaOutcome> {
    if (this.#closed) return Promise.reject(new ClosedError('the store is closed'))
    return new Promise((done, failed) => {
      this.#waiting.push({ task, done, failed })
      this.#next()
    })
  }

  /** Stops the thread; what waits fails. */
  async close(): Promise<void> {
    this.#closed = true
    for (const job of this.#waiting.splice(0)) job.failed(new ClosedError('the store is closed'))
    await this.#worker?.terminate()
  }

  #next(): void {
    if (this.#running !== undefined) return
    const job = this.#waiting.shift()
    if (job === undefined) return
    this.#running = job
    const worker = (this.#worker ??= this.#start())
    worker.ref()
    this.#timer = setTimeout(() => this.#giveUp('it takes too long'), this.#limit)
    worker.postMessage(job.task, [])
  }

  #start(): Worker {
    // From source the thread's file ends in .ts, as this one does; built, both end in .js.
    const worker = new Worker(new URL(`./schema-worker-thread${extname(import.meta.url)}`, import.meta.url), { resourceLimits: MEMORY_LIMITS })
    worker.on('message', (outcome: SchemaOutcome) => {
      if (this.#worker === worker) this.#finish()?.done(outcome)
      this.#next()
    })
    worker.on('error', () => undefined)
    worker.on('exit', () => {
      if (this.#worker === worker) this.#giveUp('it takes too much memory')
    })
    return worker
  }

  #giveUp(reason: string): void {
    const worker = this.#worker
    this.#worker = undefined
    void worker?.terminate()
    const error = this.#closed ? new ClosedError('the store is closed') : new InputInvalidError(`the schema cannot be used: ${reason}`)
    this.#finish()?.failed(error)
    this.#next()
  }

  #finish(): Job | undefined {
    const job = this.#running
    this.#running = undefined
    clearTimeout(this.#timer)
    this.#worker?.unref()
    return job
  }
}
