import { ByteBudget } from '../data-plane/byte-budget.ts'
import type { Registry } from '../registry/registry.ts'
import { UploadClearance } from './upload-clearance.ts'
import { UploadDigests } from './upload-digests.ts'

/** Bytes that all uploads of a process hold in memory together: what arrives waits here for being stored. */
const MEMORY_BYTES = 64 * 1024 * 1024

/** Somebody's turn at an upload. */
export interface UploadTurn {
  /** Aborts when somebody newer wants the upload. */
  readonly signal: AbortSignal
  /** Ends the turn. */
  end(): void
}

/** What all that work on uploads in this process share. */
export class UploadWork {
  readonly memory: ByteBudget = new ByteBudget(MEMORY_BYTES)
  readonly digests: UploadDigests = new UploadDigests()
  readonly clearance: UploadClearance
  readonly #turns = new Map<number, { readonly stop: AbortController; readonly ended: Promise<void> }>()

  constructor(registry: Registry) {
    this.clearance = new UploadClearance(registry)
  }

  /**
   * One at a time works on an upload: whoever did is asked to stop, and waited for. Between processes the fencing token decides; here it would only
   * find out later.
   */
  async turn(upload: number): Promise<UploadTurn> {
    for (let other = this.#turns.get(upload); other !== undefined; other = this.#turns.get(upload)) {
      other.stop.abort()
      await other.ended
    }
    const stop = new AbortController()
    let leave = (): void => undefined
    const ended = new Promise<void>((resolve) => (leave = resolve))
    this.#turns.set(upload, { stop, ended })
    return {
      signal: stop.signal,
      end: () => {
        this.#turns.delete(upload)
        leave()
      },
    }
  }
}
