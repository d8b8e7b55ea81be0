import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, StoreError } from '../../core/errors.ts'
import type { StoreContext } from '../context.ts'
import { eventTest } from '../event-filter.ts'
import type { Store } from '../interface.ts'
import { type DeliveryResult, DeliveryRun } from './delivery-run.ts'
import type { DeliveryTarget } from './delivery-target.ts'

/** How targets are told. */
export interface DeliverySettings {
  /** Wait after the first failed attempt, ms; it doubles with each one that follows, up to the longest. */
  readonly firstDelayMs: number
  readonly longestDelayMs: number
  /** Is told when a target could not be told something. */
  readonly onFailure?: (target: string, reason: string) => void
}

/** Tries again soon when a target restarts, and once a minute when it stays away. */
const defaultDeliverySettings: DeliverySettings = { firstDelayMs: 500, longestDelayMs: 60_000 }

/** How a flush ended for a target. */
export interface FlushedTarget {
  readonly target: string
  /** `pending`: something waits; whoever delivers next tells it. */
  readonly state: 'told' | 'pending'
  readonly reason?: string
}

/** Whoever else delivers is looked after again so often, ms. */
const BUSY_MS = 1_000
/** How long to sleep while nothing happens, ms. */
const IDLE_MS = 60_000

/**
 * Tells targets outside of events: each of them all it wants to know, at least once and in the order of the log, however long it is away. What it was told
 * is kept in the registry, so that any process goes on where another one stopped, or was killed. Nobody who writes to the store waits for it.
 */
export class Delivery {
  readonly #context: StoreContext
  readonly #store: Store
  readonly #targets: readonly DeliveryTarget[]
  readonly #settings: DeliverySettings

  constructor(context: StoreContext, store: Store, targets: readonly DeliveryTarget[], settings: Partial<DeliverySettings> = {}) {
    this.#context = context
    this.#store = store
    this.#targets = targets
    this.#settings = { ...defaultDeliverySettings, ...settings }
  }

  /** Tells them everything as it happens, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#targets.map((target) => this.#keepTelling(target, signal)))
  }

  /** Tells them what they do not know yet, as far as that is done in time. Failures stay what they are: somebody tries again later. */
  async flush({ deadlineMs, signal }: { readonly deadlineMs: number; readonly signal?: AbortSignal }): Promise<readonly FlushedTarget[]> {
    const deadline = AbortSignal.timeout(deadlineMs)
    const until = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
    return Promise.all(
      this.#targets.map(async (target): Promise<FlushedTarget> => {
        const result = await DeliveryRun.perform(this.#context, this.#store, target, until).catch(troubled)
        if (result.outcome === 'caught-up') return { target: target.name, state: 'told' }
        const reason = { failed: 'reason' in result ? result.reason : '', busy: 'another process is at it', stopped: 'there was no more time' }[
          result.outcome
        ]
        return { target: target.name, state: 'pending', reason }
      }),
    )
  }

  async #keepTelling(target: DeliveryTarget, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const result = await DeliveryRun.perform(this.#context, this.#store, target, signal)
        await this.#afterwards(target, result, signal)
      } catch (error) {
        if (signal.aborted || error instanceof ClosedError) return
        // Not the target but the store is in trouble.
        this.#settings.onFailure?.(target.name, error instanceof Error ? error.message : String(error))
        await pause(this.#settings.longestDelayMs, signal)
      }
    }
  }

  async #afterwards(target: DeliveryTarget, result: DeliveryResult, signal: AbortSignal): Promise<void> {
    if (result.outcome === 'caught-up') return this.#awaitNews(target, result.seq, signal)
    if (result.outcome === 'failed') {
      this.#settings.onFailure?.(target.name, result.reason)
      const { firstDelayMs, longestDelayMs } = this.#settings
      const full = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(result.failures - 1, 30))
      // Half of it by chance: several stores that lost the same target do not come back in step.
      return pause(Math.max(full / 2 + (full / 2) * Math.random(), Math.min(result.retryAfterMs ?? 0, 60 * longestDelayMs)), signal)
    }
    if (result.outcome === 'busy') await pause(BUSY_MS, signal)
  }

  /** Waits for an event that the target wants. */
  async #awaitNews(target: DeliveryTarget, seq: number, signal: AbortSignal): Promise<void> {
    const { eventHub } = this.#context
    const wants = eventTest(target.wants)
    for (let after = seq; !signal.aborted;) {
      const seen = await eventHub.wait({ after, wants, until: performance.now() + IDLE_MS, signal })
      if (eventHub.window.head > seen) return
      after = seen
    }
  }
}

/** The store cannot be written, or is busy: that is told where it matters, which is not here. */
function troubled(error: unknown): DeliveryResult {
  if (!(error instanceof StoreError)) throw error
  return { outcome: 'failed', reason: error.message, failures: 1, retryAfterMs: undefined }
}

/** Waits; ends early, without an error, when the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}
