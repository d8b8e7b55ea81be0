import type { OutputStream } from '../output.ts'
import { formatBytes, plural } from './bytes.ts'
import { formatDuration } from './time.ts'

/** How far something is. What is not known is left out. */
export interface ProgressState {
  readonly files: number
  readonly bytes: number
  readonly totalFiles?: number | undefined
  readonly totalBytes?: number | undefined
}

/** Redrawn at most this often, in ms, on a terminal. */
const REDRAW_MS = 100
/** A line at most this often, in ms, elsewhere. */
const LINE_MS = 5000
/** The rate is that of about the last so many ms. */
const WINDOW_MS = 5000
const BAR_WIDTH = 12

/**
 * Shows on standard error how a long piece of work is going: a bar with rate and remaining time on a terminal, a plain line every five seconds
 * elsewhere, so that a short command prints none. It is driven by {@link Progress.update} alone and starts no timer.
 */
export class Progress {
  readonly #stream: OutputStream
  readonly #verb: string
  readonly #now: () => number
  readonly #started: number
  /** Where we were at some times of the last seconds, oldest first. */
  readonly #past: { readonly at: number; readonly bytes: number }[]
  #shownAt: number
  #shown = false

  /**
   * @param verb what is being done, in the present participle: `storing`
   * @param now monotonic ms
   */
  constructor(stream: OutputStream, verb: string, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#verb = verb
    this.#now = now
    this.#started = now()
    this.#shownAt = this.#started
    this.#past = [{ at: this.#started, bytes: 0 }]
  }

  /** Says how far the work is; cheap enough to be called for every file. */
  update(state: ProgressState): void {
    const now = this.#now()
    if (now - this.#shownAt < (this.#stream.isTTY === true ? REDRAW_MS : LINE_MS)) return
    this.#shownAt = now
    this.#remember(now, state.bytes)
    const text = this.#text(state, now)
    if (this.#stream.isTTY !== true) {
      this.#stream.write(`${text}\n`)
      return
    }
    this.#shown = true
    this.#stream.write(`\r${text.slice(0, (this.#stream.columns ?? 80) - 1)}\u001b[K`)
  }

  /** Removes the bar. */
  end(): void {
    if (!this.#shown) return
    this.#shown = false
    this.#stream.write('\r\u001b[K')
  }

  #remember(now: number, bytes: number): void {
    this.#past.push({ at: now, bytes })
    while (this.#past.length > 2 && now - (this.#past[1]?.at ?? now) >= WINDOW_MS) this.#past.shift()
  }

  #text(state: ProgressState, now: number): string {
    const oldest = this.#past[0] ?? { at: this.#started, bytes: 0 }
    const seconds = (now - oldest.at) / 1000
    const rate = seconds > 0 ? (state.bytes - oldest.bytes) / seconds : 0
    const parts = [`${this.#verb} ${filesText(state)}`, bytesText(state), `${formatBytes(rate)}/s`]
    const { totalBytes } = state
    if (totalBytes !== undefined && totalBytes > 0) {
      const left = totalBytes - state.bytes
      if (rate > 0 && left > 0) parts.push(`${formatDuration(left / rate)} left`)
      return `${barText(state.bytes / totalBytes)} ${parts.join(', ')}`
    }
    return parts.join(', ')
  }
}

function filesText(state: ProgressState): string {
  return state.totalFiles === undefined ? plural(state.files, 'file') : `${state.files}/${plural(state.totalFiles, 'file')}`
}

function bytesText(state: ProgressState): string {
  return state.totalBytes === undefined ? formatBytes(state.bytes) : `${formatBytes(state.bytes)} of ${formatBytes(state.totalBytes)}`
}

function barText(share: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH)
  const percent = Math.floor(Math.min(1, Math.max(0, share)) * 100)
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${percent.toString().padStart(3)} %`
}
