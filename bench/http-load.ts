import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { numbersField } from './json-fields.ts'
import { runSelfMeasured } from './self-measured.ts'

/** What is sent to a server on this machine. */
export type LoadPlan = LoadShape & {
  readonly port: number
  readonly connections: number
  /** Requests, or times that the steps are gone through. */
  readonly count: number
  /** As many before that, which are not measured. */
  readonly warmUp?: number
  /** Begins so many a second; otherwise each connection sends the next request when the last one was answered. */
  readonly perSecond?: number
}

/** `get`: the targets again and again, in an order of no meaning. `put`: bodies of so many random bytes. `steps`: requests in order, bodies from files. */
export type LoadShape =
  | { readonly kind: 'get'; readonly targets: readonly string[] }
  | { readonly kind: 'put'; readonly prefix: string; readonly bytes: number }
  | { readonly kind: 'steps'; readonly steps: readonly LoadStep[] }

/** A request whose body is a file, or nothing. */
export interface LoadStep {
  readonly method: 'GET' | 'PUT' | 'POST'
  readonly target: string
  readonly file?: string
}

/** What became of it, in ms. */
export interface LoadResult {
  readonly milliseconds: number
  /** How long each request took. */
  readonly times: readonly number[]
}

const DEADLINE_MS = 300_000

/** Sends requests from a process of its own. @throws Error when one is not answered with success */
export async function sendLoad(plan: LoadPlan, scratch: string): Promise<LoadResult> {
  const file = join(scratch, 'plan.json')
  writeFileSync(file, JSON.stringify(plan))
  const { measurement, fields } = await runSelfMeasured('http-load.ts', [file], scratch, { deadlineMs: DEADLINE_MS })
  return { milliseconds: measurement.milliseconds, times: numbersField(fields, 'times') }
}
