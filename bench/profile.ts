/**
 * Where the time of the library goes: `profile.ts small|tree|large|fairness`. Runs the first push of the scenario (`fairness`: 100,000 files put and
 * sealed, beside another process) under Node's CPU profiler and prints which functions took the most time themselves, for each process and thread.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { CommitWait } from './commit-wait.ts'
import { fillCompileCache } from './contenders/ours-command.ts'
import type { ProfileSpan } from './cpu-profile.ts'
import { busyMilliseconds, functionTable, parseCpuProfile } from './cpu-profile.ts'
import { numberField } from './json-fields.ts'
import { root } from './place.ts'
import { formatMilliseconds, renderText } from './report-table.ts'
import type { Input, Scenario } from './scenario.ts'
import { makeInput, scenarios } from './scenario.ts'
import { runSelfMeasured } from './self-measured.ts'
import { makeWorkFolder } from './work-folder.ts'

/** Microseconds between two looks of the profiler; the default of 1 ms sees too little of a run of half a second. */
const INTERVAL_US = 200
/** Threads that did less are not shown. */
const SHOWN_MS = 100
const known = ['small', 'tree', 'large', 'fairness']

const name = process.argv[2] ?? ''
const scenario = scenarios.find((one) => one.name === name && known.includes(name))
if (scenario === undefined) {
  console.error(`usage: make profile SCENARIO=${known.join('|')}`)
  process.exit(2)
}
await profile(scenario)

async function profile(chosen: Scenario): Promise<void> {
  const profiles = join(root, '.profile', `${chosen.name}-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`)
  const folder = makeWorkFolder()
  try {
    const input = await makeInput(chosen, join(folder, 'input'))
    const work = join(folder, 'work')
    mkdirSync(work)
    await fillCompileCache(work)
    const store = join(work, 'store')
    await runSelfMeasured('library-run.ts', ['create', store], work)
    const options = ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${INTERVAL_US}`]
    const span = await (chosen.name === 'fairness' ? profileFairness(store, options) : profilePush(chosen, input, store, options))
    const found = readdirSync(profiles).map((file) => ({ file, ...parseCpuProfile(readFileSync(join(profiles, file), 'utf8'), span) }))
    for (const { file, itself, onBehalf } of found.filter((one) => busyMilliseconds(one.itself) >= SHOWN_MS)) {
      console.log(`\n${relative(root, join(profiles, file))}\n`)
      console.log(`${renderText(functionTable(onBehalf, 'on its behalf'))}\n\n${renderText(functionTable(itself, 'itself'))}`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function profilePush({ about }: Scenario, { folder }: Input, store: string, options: readonly string[]): Promise<ProfileSpan> {
  const cache = join(store, '../cache')
  const { measurement, fields } = await runSelfMeasured('library-run.ts', ['push', store, cache, folder], dirname(store), { nodeOptions: options })
  console.log(`push of ${about}: ${formatMilliseconds(measurement.milliseconds)} under the profiler`)
  return { began: numberField(fields, 'began'), ended: numberField(fields, 'ended') }
}

async function profileFairness(store: string, options: readonly string[]): Promise<undefined> {
  const waits = new CommitWait(store, options)
  await waits.measure('commit beside 100,000 puts')
  await waits.measure('commit beside 100,000 sealed')
}
