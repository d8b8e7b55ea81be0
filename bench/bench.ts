/**
 * Compares this store with other ways to keep files, on this machine: `bench.ts [--all] [--list] [--save]`. `ROWS` is a pattern (a regular
 * expression) that chooses rows, `CONTENDERS` one that chooses who takes part, `RUNS` the number of runs, `BENCH_FOLDER` where to work (default:
 * `.scratch` of the repository); `NIGHTLY=1` is `--all` with the largest sizes. See docs/benchmarks/README.md.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { drawChart } from './chart.ts'
import type { Contender } from './contender.ts'
import { bareNode } from './contenders/bare-node.ts'
import { borg } from './contenders/borg.ts'
import { floor } from './contenders/floor.ts'
import { flushingCopy } from './contenders/flushing-copy.ts'
import { nginx } from './contenders/nginx.ts'
import { oursCommand } from './contenders/ours-command.ts'
import { oursHttp, oursRequests } from './contenders/ours-http.ts'
import { oursLibrary, oursUnflushed } from './contenders/ours-library.ts'
import { restic } from './contenders/restic.ts'
import { canCountFlushes } from './flush-count.ts'
import { judge } from './goals.ts'
import { growthsOf, judgeGrowths } from './growth-rows.ts'
import type { MachineLimits } from './limits.ts'
import { measureLimits } from './limits.ts'
import { describeMachine } from './machine.ts'
import { root } from './place.ts'
import { formatMilliseconds, goalTable, growthTable, machineTable, renderMarkdown, renderText, rowTable, waitTable } from './report-table.ts'
import type { BenchResults, RowResult } from './results.ts'
import type { ScenarioObserver } from './run-scenario.ts'
import { runScenario } from './run-scenario.ts'
import type { Input, Scenario } from './scenario.ts'
import { makeInput, rowName, scenarios } from './scenario.ts'
import { makeWorkFolder } from './work-folder.ts'

/** Files younger than the coarsest time stamp are not trusted by a stat cache, and would all be read again. */
const SETTLE_MS = 2_500

const { values: flags } = parseArgs({ options: { all: { type: 'boolean' }, list: { type: 'boolean' }, save: { type: 'boolean' } } })
const isNightly = process.env['NIGHTLY'] === '1'
const isAll = isNightly || flags.all === true
const invited: readonly Contender[] = [
  oursCommand,
  oursLibrary,
  oursHttp,
  oursRequests,
  oursUnflushed,
  bareNode,
  nginx,
  restic,
  borg,
  flushingCopy,
  floor,
].filter(({ name, onDemand }) => patternOf('CONTENDERS').test(name) && (onDemand !== true || isAll || isGiven('CONTENDERS')))
const versions = new Map(invited.map((contender) => [contender, contender.version?.()]))
/** Without the programs that are not on this machine. */
const contenders = invited.filter((contender) => contender.version === undefined || versions.get(contender) !== undefined)
const pattern = patternOf('ROWS')
const chosen = scenarios
  .filter(({ when }) => when === undefined || isNightly || (when === 'all' && (isAll || isGiven('ROWS'))))
  .map((scenario) => ({ scenario, wanted: new Set(scenario.operations.filter((operation) => pattern.test(rowName(scenario, operation)))) }))
  .filter(({ wanted }) => wanted.size > 0)

if (flags.list === true) list()
else if (chosen.length === 0) fail(`no row matches ${String(pattern)}; --list shows them`)
else tell(await run(), flags.save === true)

function isGiven(variable: string): boolean {
  return (process.env[variable] ?? '') !== ''
}

function patternOf(variable: string): RegExp {
  return new RegExp(process.env[variable] ?? '')
}

function list(): void {
  for (const { scenario, wanted } of chosen)
    for (const operation of wanted) console.log(`${rowName(scenario, operation).padEnd(40)} ${scenario.about}`)
}

async function run(): Promise<BenchResults> {
  const folder = makeWorkFolder()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      rmSync(folder, { recursive: true, force: true })
      process.exit(1)
    })
  }
  try {
    return await runIn(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runIn(folder: string): Promise<BenchResults> {
  const machine = describeMachine(folder)
  const inputs = new Map<Scenario, Input>()
  for (const { scenario } of chosen) inputs.set(scenario, await makeInput(scenario, join(folder, `input-${scenario.name}`)))
  await sleep(SETTLE_MS)
  const limits: MachineLimits[] = []
  const rows: RowResult[] = []
  const failures: string[] = []
  const countsFlushes = isAll && canCountFlushes()
  for (const { scenario, wanted } of chosen) {
    const input = inputs.get(scenario)
    if (input === undefined) continue
    limits.push(measureLimits(folder))
    const runs = runsOf(scenario)
    const observer: ScenarioObserver = {
      measured: ({ name }, operation, count, { milliseconds }) =>
        console.error(`${rowName(scenario, operation)}, ${name}, run ${count + 1} of ${runs}: ${formatMilliseconds(milliseconds)}`),
      failed: ({ name }, count, error) => {
        const failure = `${scenario.name}, ${name}, run ${count + 1} of ${runs} failed`
        failures.push(failure)
        console.error(`${failure}: ${error instanceof Error ? error.message : String(error)}`)
      },
    }
    rows.push(
      ...(await runScenario({
        scenario,
        input,
        contenders,
        wanted,
        runs,
        folder,
        countsFlushes: countsFlushes && isCounted(scenario, input),
        observer,
      })),
    )
  }
  limits.push(measureLimits(folder))
  const growths = growthsOf(rows)
  const verdicts = [...judge(rows), ...judgeGrowths(growths)]
  return { machine, limits, rows, growths, programs: programLines(), verdicts, failures }
}

/** Flushes are counted where files are kept, once. */
function isCounted({ growth }: Scenario, { files }: Input): boolean {
  return files > 0 && growth === undefined
}

function programLines(): readonly string[] {
  return [...versions].flatMap(([{ name, version }, found]) => {
    if (version === undefined) return []
    return found === undefined ? [`${name} is not on this machine and left out`] : [found]
  })
}

function runsOf({ runs }: Scenario): number {
  const given = process.env['RUNS'] ?? ''
  if (given === '') return runs
  return /^[1-9]\d{0,3}$/.test(given) ? Number(given) : fail(`RUNS is a number from 1 on, not ${JSON.stringify(given)}`)
}

function tell(results: BenchResults, save: boolean): void {
  const tables = [machineTable(results), rowTable(results), growthTable(results.growths), waitTable(results), goalTable(results.verdicts)].filter(
    ({ lines }) => lines.length > 1,
  )
  for (const table of tables) console.log(`\n${renderText(table)}`)
  if (results.failures.length > 0) {
    console.log(`\n${results.failures.join('\n')}`)
    process.exitCode = 1
  }
  if (!save) return
  const folder = join(root, 'docs/benchmarks')
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`)
  writeFileSync(join(folder, 'results.svg'), drawChart(results.rows, results.growths))
  writeFileSync(
    join(folder, 'results.md'),
    `# Results\n\n${tables.map(renderMarkdown).join('\n\n')}\n\n![median times, and how they grow](results.svg)\n`,
  )
  console.log('\nSaved in docs/benchmarks.')
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
