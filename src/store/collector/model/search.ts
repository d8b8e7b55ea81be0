/** What happens next in one step, in words, and the state after it. */
export interface Step<State> {
  readonly what: string
  readonly state: State
}

/** A system of which every behaviour is looked at. States are plain JSON. */
export interface System<State> {
  readonly start: State
  /** Everything that can happen next; nothing: the system has come to rest. */
  readonly next: (state: State) => Iterable<Step<State>>
  /** What is wrong in a state, if anything. `atRest`: nothing can happen any more. */
  readonly wrong: (state: State, atRest: boolean) => string | undefined
}

/** What a search found. `trace`: how to get to what is wrong, a shortest way. */
export interface SearchReport {
  readonly states: number
  readonly problem?: string
  readonly trace?: readonly string[]
}

/**
 * Looks at every state that a system can come to, nearest first, up to the first one that is wrong.
 * @throws RangeError when there are more than `limit` states, so that a search never passes for having been complete
 */
export function searchAll<State>({ start, next, wrong }: System<State>, limit: number): SearchReport {
  const first = JSON.stringify(start)
  const seen = new Map<string, { readonly from: string | undefined; readonly what: string }>([[first, { from: undefined, what: 'start' }]])
  for (const key of seen.keys()) {
    // Sound: the key is the state, written by JSON.stringify.
    const state = JSON.parse(key) as State
    let steps = 0
    for (const { what, state: following } of next(state)) {
      steps += 1
      const name = JSON.stringify(following)
      if (!seen.has(name)) seen.set(name, { from: key, what })
    }
    const problem = wrong(state, steps === 0)
    if (problem !== undefined) return { states: seen.size, problem, trace: traceTo(seen, key) }
    if (seen.size > limit) throw new RangeError(`more than ${limit} states`)
  }
  return { states: seen.size }
}

function traceTo(seen: ReadonlyMap<string, { readonly from: string | undefined; readonly what: string }>, key: string): readonly string[] {
  const trace: string[] = []
  for (let at: string | undefined = key; at !== undefined;) {
    const step = seen.get(at)
    if (step?.from !== undefined) trace.unshift(step.what)
    at = step?.from
  }
  return trace
}
