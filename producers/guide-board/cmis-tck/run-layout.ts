import { createHash } from 'node:crypto'

/** A result of the kit, with the results of its steps. */
export interface TckResult {
  readonly status: string
  readonly message?: string
  readonly url?: string
  readonly request?: string
  readonly response?: string
  readonly exception?: string
  readonly results?: readonly TckResult[]
}

/** What `RunGroup` writes. */
export interface TckReport {
  readonly tckRevision: string
  readonly tckBuild: string
  readonly groups: readonly {
    readonly name: string
    readonly tests: readonly {
      readonly name: string
      readonly description: string
      readonly enabled: boolean
      readonly milliseconds: number
      readonly results: readonly TckResult[]
    }[]
  }[]
}

/** One group that was run, or could not be. Times are RFC 3339. */
export interface GroupRun {
  /** Folder below `artifacts/open-cmis-tck/tck/`, as in `browser-basics`. */
  readonly name: string
  readonly binding: string
  readonly startedAt: string
  readonly completedAt: string
  readonly exitCode: number | null
  readonly report?: TckReport
}

/** A finding about the server under test, or about the run itself. */
export type EvidenceResult = 'pass' | 'fail' | 'warning' | 'skipped' | 'infrastructure_error'

/** One check that was made, as guide-board has it. */
export interface EvidenceItem {
  readonly id: string
  readonly run_id: string
  readonly extension_id: 'open-cmis-tck'
  readonly check_id: string
  readonly subject_ref: string
  readonly result: EvidenceResult
  readonly observations: readonly string[]
  readonly facts: Readonly<Record<string, string | number | boolean>>
  readonly requirement_refs: readonly string[]
  readonly artifact_refs: readonly string[]
  readonly started_at: string
  readonly completed_at: string
}

/** From the best to the worst: the result of a test is that of its worst step. */
const severity: readonly EvidenceResult[] = ['skipped', 'pass', 'warning', 'fail', 'infrastructure_error']
const resultOf: Readonly<Record<string, EvidenceResult>> = {
  SKIPPED: 'skipped',
  INFO: 'pass',
  OK: 'pass',
  WARNING: 'warning',
  FAILURE: 'fail',
  UNEXPECTED_EXCEPTION: 'infrastructure_error',
}

/** The evidence of a group: an item a test, or one that says that the group could not be run. */
export function evidenceOf(runId: string, subject: string, group: GroupRun): readonly EvidenceItem[] {
  const folder = `artifacts/open-cmis-tck/tck/${group.name}`
  const item = (check: string, result: EvidenceResult, observations: readonly string[], facts: EvidenceItem['facts']): EvidenceItem => ({
    id: `${runId}:${check}`,
    run_id: runId,
    extension_id: 'open-cmis-tck',
    check_id: check,
    subject_ref: subject,
    result,
    observations,
    facts: { binding: group.binding, ...facts },
    requirement_refs: [],
    artifact_refs: ['invocation.json', 'stdout.log', 'stderr.log', 'normalized-runner-result.json'].map((name) => `${folder}/${name}`),
    started_at: group.startedAt,
    completed_at: group.completedAt,
  })
  if (group.report === undefined) {
    return [item(`cmis-tck.${group.name}`, 'infrastructure_error', [`the group ended with ${String(group.exitCode)} and left no results`], {})]
  }
  return group.report.groups.flatMap(({ tests }) =>
    tests.map(({ name, enabled, milliseconds, results }) => {
      const steps = results.flatMap(flatten)
      const worst = steps.map(({ status }) => resultOf[status] ?? 'infrastructure_error').reduce(worse, enabled ? 'pass' : 'skipped')
      const notable = steps.filter(({ status }) => status !== 'OK' && status !== 'INFO' && status !== 'SKIPPED')
      const observations = notable.map(({ status, message = '' }) => `${status}: ${message}`)
      return item(`cmis-tck.${group.name}.${slug(name)}`, worst, observations, { milliseconds, steps: steps.length })
    }),
  )
}

/** Counts by result. */
export function countsOf(items: readonly EvidenceItem[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { result } of items) counts[result] = (counts[result] ?? 0) + 1
  return counts
}

/** SHA-256 of a text, hexadecimal. */
export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function flatten(result: TckResult): readonly TckResult[] {
  return [result, ...(result.results ?? []).flatMap(flatten)]
}

function worse(left: EvidenceResult, right: EvidenceResult): EvidenceResult {
  return severity.indexOf(right) > severity.indexOf(left) ? right : left
}

/** The kit puts the binding behind each name. */
function slug(name: string): string {
  return name
    .replace(/\([A-Z]+\)\s*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}
