/** How a check went. `warn`: nothing is lost, but somebody should look. `fail`: something is wrong or lost, or the store cannot work. */
export type FindingStatus = 'ok' | 'warn' | 'fail'

/** What one check of a store found, in words for somebody who did not build it. */
export interface Finding {
  /** Stable name of the check, one word. */
  readonly check: string
  readonly status: FindingStatus
  /** What was seen. */
  readonly observed: string
  /** What to do; absent when nothing is. */
  readonly advice?: string
  /** A few of the things it is about: keys, paths, digests. */
  readonly examples?: readonly string[]
}

/** Things that are named at most. */
const NAMED = 10

/** Gathers what a check comes across: how many, and which were the first. */
export class Sightings {
  count = 0
  readonly examples: string[] = []

  add(what: string): void {
    this.count += 1
    if (this.examples.length < NAMED) this.examples.push(what)
  }
}

/** The worst of some statuses. */
export function worst(statuses: Iterable<FindingStatus>): FindingStatus {
  const all = new Set(statuses)
  return all.has('fail') ? 'fail' : all.has('warn') ? 'warn' : 'ok'
}

/** `1 object`, `2 objects`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
