/** Longest wait between two attempts, ms. */
const MAX_DELAY_MS = 10_000
const FIRST_DELAY_MS = 200
/** A server that asks for more patience than this is told to the caller instead. */
const MAX_RETRY_AFTER_MS = 60_000

/**
 * How long to wait before attempt `attempt + 1`, ms: doubling from 0.2 to 10 s, half of it random, so that clients that lost their server at the same
 * moment do not come back at the same moment.
 * @param attempt attempts made so far, from 1
 * @param random from 0 to 1
 */
export function backOffMs(attempt: number, random: number): number {
  const full = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1))
  return full / 2 + (full / 2) * random
}

/**
 * What a `Retry-After` header asks for (RFC 9110 section 10.2.3), ms from now: seconds or a date.
 * @returns undefined when there is none, or it cannot be read
 */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined
  if (/^[0-9]{1,9}$/.test(header.trim())) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}

/** The wait before the next attempt, or undefined when the server asks for longer than anybody wants to wait. */
export function waitMs(attempt: number, asked: number | undefined, random: number): number | undefined {
  const own = backOffMs(attempt, random)
  if (asked === undefined) return own
  return asked > MAX_RETRY_AFTER_MS ? undefined : Math.max(own, asked)
}

/** Waits; ends early when the signal aborts, without an error. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
