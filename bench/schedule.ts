/** One turn of a contender. `run` counts from 0. */
export interface Turn<T> {
  readonly run: number
  readonly contender: T
}

/**
 * The order of runs: A B A B …, never A A B B, so that whatever the machine does meanwhile happens to all of them. Every other round goes backwards,
 * so that nobody always follows the same neighbour.
 */
export function* alternate<T>(contenders: readonly T[], runs: number): Generator<Turn<T>, void, undefined> {
  for (let run = 0; run < runs; run++) {
    for (const contender of run % 2 === 0 ? contenders : contenders.toReversed()) yield { run, contender }
  }
}
