/** How long a batch waits for the next one to share its commit, milliseconds. */
const PATIENCE_MS = 20

/**
 * Joins batches that come soon after one another, up to about `limit` items, so that they share a commit. The last one waits for nothing: its source
 * ends behind it.
 */
export async function* gather<T>(batches: AsyncIterable<readonly T[]>, limit: number): AsyncGenerator<readonly T[], void, undefined> {
  const iterator = batches[Symbol.asyncIterator]()
  let held: readonly T[] = []
  let next = iterator.next()
  try {
    for (;;) {
      const step = held.length === 0 ? await next : await soon(next)
      // Late, or failed: what there is goes first, and then the next is awaited for itself.
      if (step === undefined || held.length >= limit) {
        const joined = held
        held = []
        yield joined
        continue
      }
      if (step.done === true) break
      held = held.length === 0 ? step.value : [...held, ...step.value]
      next = iterator.next()
      // Its failure is met when it is awaited, which may be later.
      next.catch(() => undefined)
    }
    if (held.length > 0) yield held
  } finally {
    await iterator.return?.()
  }
}

/** @returns undefined when it takes longer, or fails */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), PATIENCE_MS)))
  try {
    return await Promise.race([promise, late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
