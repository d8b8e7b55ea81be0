/**
 * Runs a task for each value, up to `count` of them ahead of the consumer, and yields the results in order. When the consumer stops, or a task
 * fails, the tasks under way are waited for.
 */
export async function* runAhead<T, R>(values: Iterable<T>, count: number, task: (value: T) => Promise<R>): AsyncGenerator<R, void, undefined> {
  const running: Promise<R>[] = []
  const start = (value: T): void => {
    const result = task(value)
    result.catch(() => undefined)
    running.push(result)
  }
  try {
    for (const value of values) {
      start(value)
      if (running.length <= count) continue
      const first = running.shift()
      if (first !== undefined) yield await first
    }
    for (let next = running.shift(); next !== undefined; next = running.shift()) yield await next
  } finally {
    await Promise.allSettled(running)
  }
}
