import { Worker } from 'node:worker_threads'
import { BackendFailedError, ClosedError } from '../core/errors.ts'
import { runTask } from './file-task.ts'
import type { FileOutcome, FileTask } from './file-task.ts'

/** Threads pay for themselves when more than this was asked for: who asks for so much asks for more ([M] starting one takes 60 ms and 15 MB). */
const WORTH_FILES = 4_096
const WORTH_BYTES = 16 * 1024 * 1024
/** How long the main thread works on files before it lets others run, ms. */
const SLICE_MS = 1
/** Room for files is kept for the next ones in pieces of these sizes, bytes: for many small ones, and for one of the largest. */
const MEMORY_BYTES: readonly number[] = [1024 * 1024, 2 * 1024 * 1024]
const KEPT_BYTES = 6 * 1024 * 1024
/**
 * A thread allocates little but buffers, and their memory is only freed when its young objects are collected: with so little room for them that is
 * often ([M] the peak falls by 60 MB).
 */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

interface Job {
  readonly task: FileTask
  readonly files: number
  readonly bytes: number
  readonly done: (outcome: FileOutcome) => void
  readonly failed: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  job: Job | undefined
  ready: boolean
}

/**
 * Opens, reads, hashes and compresses small files. The main thread does it in short slices; when many wait, threads are started that do it too
 * ([M] on two cores one thread beside the main one is as fast as two, and takes 20 MB less).
 */
export class FileThreads {
  readonly #count: number
  readonly #threads = new Set<Thread>()
  readonly #waiting: Job[] = []
  /** What was asked for so far. */
  #files = 0
  #bytes = 0
  readonly #memories: ArrayBuffer[] = []
  #inline = false
  #startable: boolean
  #closed = false

  /** @param count how many threads at most; 0 leaves everything to the main thread */
  constructor(count: number) {
    this.#count = count
    this.#startable = count > 0
  }

  /** Memory for at least that many bytes; to be given back. */
  take(bytes: number): ArrayBuffer {
    const size = MEMORY_BYTES.find((each) => each >= bytes) ?? bytes
    const index = this.#memories.findIndex(({ byteLength }) => byteLength === size)
    const [kept] = index < 0 ? [] : this.#memories.splice(index, 1)
    return kept ?? new ArrayBuffer(size)
  }

  give(memory: ArrayBuffer): void {
    const kept = this.#memories.reduce((sum, { byteLength }) => sum + byteLength, 0)
    // What is not kept is freed at once, not when the garbage is collected.
    if (kept + memory.byteLength <= KEPT_BYTES) this.#memories.push(memory)
    else memory.transfer(0)
  }

  /** Runs a task; its memory is out of reach until the outcome is there. @throws BackendFailedError when a thread died with it; ClosedError */
  run(task: FileTask): Promise<FileOutcome> {
    if (this.#closed) return Promise.reject(new ClosedError('the data plane is closed'))
    return new Promise((done, failed) => {
      const job = { task, done, failed, ...weightOf(task) }
      // A window that is only to be compressed yet can go on to be flushed: it comes before files to be read.
      if (task.kind === 'compress') this.#waiting.unshift(job)
      else this.#waiting.push(job)
      this.#files += job.files
      this.#bytes += job.bytes
      this.#startIfWorthwhile()
      this.#dispatch()
    })
  }

  /** Stops the threads. */
  async close(): Promise<void> {
    this.#closed = true
    this.#startable = false
    for (const job of this.#waiting.splice(0)) job.failed(new ClosedError('the data plane is closed'))
    await Promise.all([...this.#threads].map((thread) => thread.worker.terminate()))
  }

  #startIfWorthwhile(): void {
    if (!this.#startable || this.#threads.size > 0) return
    if (this.#files <= WORTH_FILES && this.#bytes <= WORTH_BYTES) return
    for (let count = 0; count < this.#count; count += 1) this.#start()
  }

  #start(): void {
    // Beside this module, as source or compiled.
    const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './file-thread.ts' : './file-thread.js', import.meta.url), {
      resourceLimits: THREAD_LIMITS,
    })
    const thread: Thread = { worker, job: undefined, ready: false }
    this.#threads.add(thread)
    worker.unref()
    worker.on('message', (message: FileOutcome | 'ready') => {
      if (message === 'ready') thread.ready = true
      else this.#finish(thread)?.done(message)
      this.#dispatch()
    })
    worker.on('error', (cause) => {
      // One that cannot start will not start the next time either.
      if (!thread.ready) this.#startable = false
      this.#finish(thread)?.failed(new BackendFailedError('a thread that reads files failed; try again', { cause }))
    })
    worker.on('exit', () => {
      this.#threads.delete(thread)
      this.#finish(thread)?.failed(new BackendFailedError('a thread that reads files ended; try again'))
      this.#dispatch()
    })
  }

  #finish(thread: Thread): Job | undefined {
    const { job } = thread
    thread.job = undefined
    thread.worker.unref()
    return job
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (!thread.ready || thread.job !== undefined) continue
      const job = this.#waiting.shift()
      if (job === undefined) return
      thread.job = job
      thread.worker.ref()
      thread.worker.postMessage(job.task, [job.task.memory])
    }
    // Only for work that waits: it comes back here when it is done.
    if (this.#waiting.length > 0) void this.#runInline()
  }

  /** Works on what waits and no thread has taken. */
  async #runInline(): Promise<void> {
    if (this.#inline) return
    this.#inline = true
    await turn()
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) {
      try {
        job.done(await inSlices(job.task))
      } catch (cause) {
        job.failed(new BackendFailedError('reading files failed; try again', { cause }))
      }
      await turn()
    }
    this.#inline = false
  }
}

async function inSlices(task: FileTask): Promise<FileOutcome> {
  const steps = runTask(task)
  let pause = performance.now() + SLICE_MS
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value
    if (performance.now() < pause) continue
    await turn()
    pause = performance.now() + SLICE_MS
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function weightOf(task: FileTask): Pick<Job, 'files' | 'bytes'> {
  const sizes = task.kind === 'read' ? task.files.map((file) => Number(file.fingerprint.size)) : task.parts.map((part) => part.length)
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}
