import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Attempt, Contender } from '../contender.ts'
import { unknownOperation } from '../contender.ts'
import { type LoadShape, type LoadStep, sendLoad } from '../http-load.ts'
import type { Measurement } from '../measurement.ts'
import type { Input, Operation } from '../scenario.ts'
import { summarizeWaits } from '../statistics.ts'
import { inputFiles } from '../scenario.ts'

/** Requests of a row about small files, and as many before as warm a server up. */
const DOWNLOADS = 20_000
const UPLOADS = 2_000
const WARM_UP = 500
const SMALL_BYTES = 4_096
const PAGE_CONNECTIONS = 16
const SATURATING_PAGES = 1_000
const STEADY_SECONDS = 10

/** A server under test, and how its files are addressed. */
export interface HttpSubject {
  readonly port: number
  readonly peakBytes: number
  /** Where a file of the input is found. */
  readonly download: (path: string) => string
  /** Where new files may be put: the start of their targets. */
  readonly upload: () => Promise<string>
  /** Requests that keep the input; the last one is answered when all of it is durable. */
  readonly keep?: (archive: string) => Promise<readonly LoadStep[]>
  /** What else must be asked so that one uploaded file is kept. */
  readonly seal?: (prefix: string) => LoadStep
  readonly end: () => Promise<void>
}

/** The operations over HTTP, measured from a process of its own. */
export class HttpAttempt implements Attempt {
  readonly #contender: Contender
  readonly #input: Input
  readonly #folder: string
  readonly #subject: HttpSubject

  constructor(contender: Contender, input: Input, folder: string, subject: HttpSubject) {
    this.#contender = contender
    this.#input = input
    this.#folder = folder
    this.#subject = subject
  }

  async run(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'download':
        return this.#load({ kind: 'get', targets: this.#targets() }, 1, 1)
      case 'download by 16':
      case 'download by 64':
        return this.#load({ kind: 'get', targets: this.#targets() }, connectionsOf(operation), DOWNLOADS, WARM_UP)
      case 'upload':
        return this.#load({ kind: 'steps', steps: await this.#uploadSteps() }, 1, 1)
      case 'upload by 16':
      case 'upload by 64':
        return this.#load({ kind: 'put', prefix: await this.#subject.upload(), bytes: SMALL_BYTES }, connectionsOf(operation), UPLOADS, WARM_UP)
      case 'keep':
        return this.#keep()
      case 'page at half load':
        return this.#pages()
      default:
        throw unknownOperation(this.#contender, operation)
    }
  }

  /** Every answer was a success of the announced length, or the load would have failed; contents are the business of the tests. */
  async verify(): Promise<void> {}

  end(): Promise<void> {
    return this.#subject.end()
  }

  #targets(): readonly string[] {
    return inputFiles(this.#input.folder).map((path) => this.#subject.download(path))
  }

  async #uploadSteps(): Promise<readonly LoadStep[]> {
    const [file = ''] = inputFiles(this.#input.folder)
    const prefix = await this.#subject.upload()
    const put: LoadStep = { method: 'PUT', target: `${prefix}large`, file: join(this.#input.folder, file) }
    return this.#subject.seal === undefined ? [put] : [put, this.#subject.seal(prefix)]
  }

  async #keep(): Promise<Measurement> {
    const archive = join(this.#folder, 'input.tar')
    const { status } = spawnSync('tar', ['-cf', archive, '-C', this.#input.folder, '.'])
    if (status !== 0) throw new Error('tar failed')
    const steps = await this.#subject.keep?.(archive)
    if (steps !== undefined) return this.#load({ kind: 'steps', steps }, 1, 1)
    return this.#load({ kind: 'put', prefix: await this.#subject.upload(), bytes: SMALL_BYTES }, 16, this.#input.files)
  }

  /** First as fast as it goes, then at half of that rate: how long a page takes when the server is not drowning. */
  async #pages(): Promise<Measurement> {
    const plan = { kind: 'get', targets: ['/packages?limit=100'], port: this.#subject.port, connections: PAGE_CONNECTIONS } as const
    const fastest = await sendLoad({ ...plan, count: SATURATING_PAGES, warmUp: WARM_UP }, this.#folder)
    const perSecond = (SATURATING_PAGES / fastest.milliseconds) * 500
    const { times } = await sendLoad({ ...plan, count: Math.ceil(perSecond * STEADY_SECONDS), warmUp: WARM_UP, perSecond }, this.#folder)
    const page = summarizeWaits(times)
    return { milliseconds: page.p99, waits: { page, 'page, as fast as it goes': summarizeWaits(fastest.times) }, peakBytes: this.#subject.peakBytes }
  }

  async #load(shape: LoadShape, connections: number, count: number, warmUp: number = 0): Promise<Measurement> {
    const { milliseconds, times } = await sendLoad({ ...shape, port: this.#subject.port, connections, count, warmUp }, this.#folder)
    return { milliseconds, waits: { request: summarizeWaits(times) }, peakBytes: this.#subject.peakBytes }
  }
}

function connectionsOf(operation: Operation): number {
  return operation.endsWith('64') ? 64 : 16
}
