import type { Writable } from 'node:stream'
import { Buffer } from 'node:buffer'
import { OutputClosed } from './command-failure.ts'
import type { Style } from './render/style.ts'
import { createStyle, wantsColours } from './render/style.ts'

/** A stream that may be a terminal. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** How a command speaks. */
export interface OutputMode {
  /** Standard output carries JSON and nothing else. */
  readonly json: boolean
  /** Only results and errors, no remarks and no progress. */
  readonly quiet: boolean
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Lines are sent in pieces of about this many characters, so that a long list costs few system calls. */
const PIECE_LENGTH = 64 * 1024

/**
 * Results go to standard output, remarks and progress to standard error. Standard output is written no faster than it is read; once its reader is
 * gone every call throws {@link OutputClosed}.
 */
export class Output {
  readonly mode: OutputMode
  /** Marks for standard output. */
  readonly style: Style
  readonly stderr: OutputStream
  readonly #stdout: OutputStream
  #lines: string[] = []
  #length = 0
  #closed: Error | undefined

  constructor(stdout: OutputStream, stderr: OutputStream, mode: OutputMode) {
    this.#stdout = stdout
    this.stderr = stderr
    this.mode = mode
    this.style = createStyle(!mode.json && wantsColours(stdout, mode.environment))
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#closed ??= error.code === 'EPIPE' ? new OutputClosed() : error
    })
    // Nobody can be told that standard error is gone.
    stderr.on('error', () => undefined)
  }

  /** True where progress may be shown. */
  get talkative(): boolean {
    return !this.mode.json && !this.mode.quiet
  }

  /** One line of a result. Sent when enough lines are gathered, at {@link flush}, and when the command ends. */
  async line(text = ''): Promise<void> {
    this.#lines.push(text, '\n')
    this.#length += text.length + 1
    if (this.#length >= PIECE_LENGTH) await this.flush()
  }

  /** One JSON value on a line of its own. */
  async json(value: object): Promise<void> {
    await this.line(JSON.stringify(value))
  }

  /** Sends the lines gathered so far. */
  async flush(): Promise<void> {
    if (this.#length === 0) return
    const text = this.#lines.join('')
    this.#lines = []
    this.#length = 0
    await this.bytes(Buffer.from(text))
  }

  /** Raw bytes; resolves once they were taken. */
  async bytes(piece: Uint8Array): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed
    await new Promise<void>((resolve, reject) => {
      this.#stdout.write(piece, (error) => {
        if (!error) return resolve()
        this.#closed ??= 'code' in error && error.code === 'EPIPE' ? new OutputClosed() : error
        reject(this.#closed)
      })
    })
  }

  /** A remark for a person, on standard error; nothing with `--quiet` or `--json`. */
  note(text: string): void {
    if (this.talkative) this.stderr.write(`${text}\n`)
  }
}

/** Resolves once a stream has handed on, or given up on, everything written to it. */
export function written(stream: OutputStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve())
  })
}
