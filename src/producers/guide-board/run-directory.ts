import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../core/canonical-json.ts'
import { type EntryProblem, StoreError, TreeRefusedError } from '../../core/errors.ts'
import { parsePath } from '../../core/path.ts'

/** What guide-board says of a run, as far as it is needed to keep it. */
export interface RunDirectory {
  /** The facts that become the metadata of the package: exactly the members of the schema `guide-board.run.v1`. */
  readonly facts: RunFacts
  /** For how long summaries, and raw artifacts, are wanted, in days. */
  readonly summaryDays: number
  readonly rawDays: number
}

/** Members of `run.json`. */
export interface RunFacts {
  readonly run_id: string
  readonly target_profile_ref: string
  readonly assessment_profile_ref: string
  readonly result_status: string
  readonly source_commits: Readonly<Record<string, string>>
  readonly report_paths: readonly string[]
  readonly evidence_counts: Readonly<Record<string, number>>
  readonly finding_counts: Readonly<Record<string, number>>
}

/** What every run has. */
const REQUIRED = [
  'run.json',
  'plan.json',
  'retention-summary.json',
  'normalized/evidence.json',
  'normalized/findings.json',
  'normalized/mappings.json',
  'reports/assessment-package.json',
  'reports/report.md',
]
/** What each group of tests leaves behind. */
const GROUP_FILES = ['invocation.json', 'stdout.log', 'stderr.log', 'normalized-runner-result.json']
const RESULTS = new Set([
  'pass',
  'fail',
  'warning',
  'manual',
  'not_applicable',
  'skipped',
  'expected_gap',
  'waiver_applied',
  'unsupported_by_design',
  'infrastructure_error',
  'blocked',
  'unknown',
])
/** Largest JSON file of a run that is read, bytes. */
const DOCUMENT_BYTES = 64 * 1024 * 1024
const MAX_DAYS = 365_000

/**
 * Reads a run directory as far as it describes itself, and checks that it is whole and agrees with itself. A run that was blocked is a run too.
 * @throws TreeRefusedError with everything that is missing or does not fit
 */
export async function readRunDirectory(folder: string): Promise<RunDirectory> {
  const reading = new RunReading(folder)
  const run = await reading.run()
  if (run === undefined || reading.problems.length > 0) {
    const { length } = reading.problems
    throw new TreeRefusedError(
      `${folder} is no complete run of guide-board: ${length} ${length === 1 ? 'thing is' : 'things are'} wrong with it`,
      reading.problems,
    )
  }
  return run
}

class RunReading {
  readonly problems: EntryProblem[] = []
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async run(): Promise<RunDirectory | undefined> {
    for (const path of REQUIRED) await this.#mustExist(path, 'is missing')
    const facts = this.#facts(await this.#object('run.json'))
    const retention = await this.#object('retention-summary.json')
    const summaryDays = this.#days(retention, 'summaries_days')
    const rawDays = this.#days(retention, 'raw_artifacts_days')
    const evidence = await this.#list('normalized/evidence.json')
    const findings = await this.#list('normalized/findings.json')
    await this.#list('normalized/mappings.json')
    if (facts === undefined) return undefined
    await this.#sameRun('plan.json', facts.run_id)
    await this.#sameRun('reports/assessment-package.json', facts.run_id)
    for (const path of facts.report_paths) await this.#mustExist(path, 'is named in run.json but missing')
    if (evidence !== undefined) await this.#checkEvidence(evidence, facts)
    if (findings !== undefined) this.#checkSum('normalized/findings.json', findings.length, facts.finding_counts)
    return { facts, summaryDays, rawDays }
  }

  /** Each item belongs to this run, has a result that is known, and names artifacts that are there; together they are as many as run.json says. */
  async #checkEvidence(items: readonly JsonValue[], facts: RunFacts): Promise<void> {
    const counts: Record<string, number> = {}
    const seen = new Set<string>()
    for (const [index, item] of items.entries()) {
      const where = `normalized/evidence.json[${index}]`
      if (!isJsonObject(item)) {
        this.#problem(where, 'is no object')
        continue
      }
      const { id, run_id, result, artifact_refs = [] } = item
      if (typeof id !== 'string' || seen.has(id)) this.#problem(where, 'has no id of its own')
      else seen.add(id)
      if (run_id !== facts.run_id) this.#problem(where, `belongs to run ${JSON.stringify(run_id)}`)
      if (typeof result !== 'string' || !RESULTS.has(result)) this.#problem(where, `has an unknown result ${JSON.stringify(result)}`)
      else counts[result] = (counts[result] ?? 0) + 1
      for (const path of isList(artifact_refs) ? artifact_refs : []) await this.#artifact(path, where)
    }
    for (const result of new Set([...Object.keys(counts), ...Object.keys(facts.evidence_counts)])) {
      const [found, said] = [counts[result] ?? 0, facts.evidence_counts[result] ?? 0]
      if (found !== said) this.#problem('run.json', `counts ${said} items of evidence with result ${result}, there are ${found}`)
    }
  }

  readonly #artifacts = new Set<string>()

  async #artifact(path: JsonValue, where: string): Promise<void> {
    if (typeof path !== 'string') return this.#problem(where, 'names an artifact that is no path')
    if (this.#artifacts.has(path)) return
    this.#artifacts.add(path)
    await this.#mustExist(path, `is named by ${where} but missing`)
    const group = /^artifacts\/open-cmis-tck\/tck\/[^/]+\//.exec(path)?.[0]
    if (group === undefined) return
    for (const name of GROUP_FILES) await this.#mustExist(group + name, 'is missing in its group')
  }

  #checkSum(path: string, found: number, counts: Readonly<Record<string, number>>): void {
    const said = Object.values(counts).reduce((sum, count) => sum + count, 0)
    if (found !== said) this.#problem(path, `has ${found} entries, run.json counts ${said}`)
  }

  async #sameRun(path: string, runId: string): Promise<void> {
    const document = await this.#object(path)
    if (document !== undefined && document['run_id'] !== runId) this.#problem(path, `belongs to run ${JSON.stringify(document['run_id'])}`)
  }

  #facts(run: JsonObject | undefined): RunFacts | undefined {
    if (run === undefined) return undefined
    const before = this.problems.length
    const facts = {
      run_id: this.#text(run, 'run_id'),
      target_profile_ref: this.#text(run, 'target_profile_ref'),
      assessment_profile_ref: this.#text(run, 'assessment_profile_ref'),
      result_status: this.#text(run, 'result_status'),
      source_commits: this.#map(run, 'source_commits', isText),
      report_paths: this.#paths(run, 'report_paths'),
      evidence_counts: this.#map(run, 'evidence_counts', isCount),
      finding_counts: this.#map(run, 'finding_counts', isCount),
    }
    return this.problems.length === before ? facts : undefined
  }

  #text(run: JsonObject, name: string): string {
    const value = run[name]
    if (typeof value === 'string' && value !== '') return value
    this.#problem('run.json', `has no ${name}`)
    return ''
  }

  #map<T extends JsonValue>(run: JsonObject, name: string, isValue: (value: JsonValue | undefined) => value is T): Readonly<Record<string, T>> {
    const value = run[name]
    const entries = isJsonObject(value) ? Object.entries(value) : undefined
    if (entries === undefined || !entries.every(([, member]) => isValue(member)))
      this.#problem('run.json', `has no ${name}, or not of the right form`)
    return Object.fromEntries((entries ?? []).flatMap(([key, member]) => (isValue(member) ? [[key, member]] : [])))
  }

  #paths(run: JsonObject, name: string): readonly string[] {
    const value = run[name]
    if (Array.isArray(value) && value.every(isText)) return value.filter(isText)
    this.#problem('run.json', `has no ${name}, or not of the right form`)
    return []
  }

  #days(retention: JsonObject | undefined, name: string): number {
    const value = retention?.[name]
    if (isCount(value) && value > 0 && value <= MAX_DAYS) return value
    if (retention !== undefined) this.#problem('retention-summary.json', `${name} is no number of days`)
    return 0
  }

  async #object(path: string): Promise<JsonObject | undefined> {
    const value = await this.#read(path)
    if (value === undefined || isJsonObject(value)) return value
    this.#problem(path, 'is no JSON object')
    return undefined
  }

  async #list(path: string): Promise<readonly JsonValue[] | undefined> {
    const value = await this.#read(path)
    if (value === undefined || isList(value)) return value
    this.#problem(path, 'is no JSON array')
    return undefined
  }

  /** @returns undefined for what is missing, which was told before, or is no JSON */
  async #read(path: string): Promise<JsonValue | undefined> {
    try {
      const file = join(this.#folder, path)
      const { size } = await stat(file)
      if (size <= DOCUMENT_BYTES) return parseJson(await readFile(file), { maxBytes: DOCUMENT_BYTES })
      this.#problem(path, `has ${size} bytes; at most ${DOCUMENT_BYTES} are read`)
    } catch (error) {
      if (error instanceof StoreError) this.#problem(path, error.message)
      else if (!isMissing(error)) throw error
    }
    return undefined
  }

  async #mustExist(path: string, reason: string): Promise<void> {
    try {
      parsePath(path)
      if ((await stat(join(this.#folder, path))).isFile()) return
      this.#problem(path, 'is no file')
    } catch (error) {
      if (error instanceof StoreError) this.#problem(path, error.message)
      else if (isMissing(error)) this.#problem(path, reason)
      else throw error
    }
  }

  #problem(path: string, reason: string): void {
    this.problems.push({ path, reason })
  }
}

function isText(value: JsonValue | undefined): value is string {
  return typeof value === 'string'
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
