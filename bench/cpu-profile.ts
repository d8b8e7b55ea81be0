import { isFields, numberField, numbersField, objectField, parseFields, textField } from './json-fields.ts'
import type { JsonFields } from './json-fields.ts'
import type { Table } from './report-table.ts'
import { formatMilliseconds } from './report-table.ts'

/** What a function took, in ms. */
export interface FunctionTime {
  readonly name: string
  /** `file:line`, or nothing for what is no function of a file. */
  readonly place: string
  readonly milliseconds: number
}

/** Two views of a profile, the most expensive function first. */
export interface CpuProfile {
  /** What each function took itself, calls from it not counted. */
  readonly itself: readonly FunctionTime[]
  /** What each function of this project took with all it called but other functions of this project. What nobody here called stands alone. */
  readonly onBehalf: readonly FunctionTime[]
}

/** A part of a profile, in microseconds of the profiler's clock, which is the monotonic one. */
export interface ProfileSpan {
  readonly began: number
  readonly ended: number
}

const SHOWN = 25
const IDLE = '(idle)'
const WHOLE: ProfileSpan = { began: 0, ended: Number.POSITIVE_INFINITY }

/**
 * Reads a .cpuprofile file (Chrome DevTools Protocol, Profiler.Profile).
 * @throws TypeError when it is something else
 */
export function parseCpuProfile(content: string, span: ProfileSpan = WHOLE): CpuProfile {
  const profile = parseFields(content)
  const nodes = new Map<number, ProfileNode>()
  const parents = new Map<number, number>()
  for (const fields of fieldsList(profile, 'nodes')) {
    const id = numberField(fields, 'id')
    nodes.set(id, describe(fields))
    if (fields['children'] !== undefined) for (const child of numbersField(fields, 'children')) parents.set(child, id)
  }
  const ours = (id: number): number => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) if (isOurs(nodes.get(at))) return at
    return id
  }
  const [itself, onBehalf] = [new FunctionTimes(), new FunctionTimes()]
  const deltas = numbersField(profile, 'timeDeltas')
  let time = numberField(profile, 'startTime')
  for (const [index, id] of numbersField(profile, 'samples').entries()) {
    time += deltas[index] ?? 0
    if (time < span.began || time > span.ended) continue
    // A delta is the time since the sample before, in microseconds.
    const milliseconds = (deltas[index + 1] ?? 0) / 1000
    itself.add(nodes.get(id), milliseconds)
    onBehalf.add(nodes.get(ours(id)), milliseconds)
  }
  return { itself: itself.sorted(), onBehalf: onBehalf.sorted() }
}

/** The most expensive functions, with their share of the time in which something was done. */
export function functionTable(times: readonly FunctionTime[], title: string): Table {
  const busy = busyMilliseconds(times)
  const lines = times
    .slice(0, SHOWN)
    .map(({ name, place, milliseconds }) => [
      name,
      place,
      formatMilliseconds(milliseconds),
      name === IDLE ? '' : `${((100 * milliseconds) / busy).toFixed(1)} %`,
    ])
  return { lines: [['function', 'place', title, 'share'], ...lines], rightFrom: 2 }
}

/** The time in which something was done. */
export function busyMilliseconds(times: readonly FunctionTime[]): number {
  return times.filter(({ name }) => name !== IDLE).reduce((sum, { milliseconds }) => sum + milliseconds, 0)
}

type ProfileNode = Pick<FunctionTime, 'name' | 'place'>

class FunctionTimes {
  readonly #times = new Map<string, FunctionTime>()

  add({ name, place }: ProfileNode = { name: 'unknown', place: '' }, milliseconds: number): void {
    const key = `${name} ${place}`
    this.#times.set(key, { name, place, milliseconds: (this.#times.get(key)?.milliseconds ?? 0) + milliseconds })
  }

  sorted(): readonly FunctionTime[] {
    return [...this.#times.values()].toSorted((a, b) => b.milliseconds - a.milliseconds)
  }
}

function isOurs(node: ProfileNode | undefined): boolean {
  return node?.place.startsWith('src/') === true
}

function describe(node: JsonFields): ProfileNode {
  const frame = objectField(node, 'callFrame')
  const [name, url] = [textField(frame, 'functionName'), textField(frame, 'url')]
  const file = url.replace(/^file:\/\/.*?\/((?:src|bench|node_modules)\/)/, '$1')
  return { name: name === '' ? '(anonymous)' : name, place: url === '' ? '' : `${file}:${numberField(frame, 'lineNumber') + 1}` }
}

function fieldsList(fields: JsonFields, name: string): readonly JsonFields[] {
  const value = fields[name]
  if (!Array.isArray(value)) throw new TypeError(`there is no list ${name}`)
  return value.filter(isFields)
}
