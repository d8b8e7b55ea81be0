/**
 * Runs the conformance kit and writes a run directory; see README.md. `run.ts OUTPUT [RUN_ID]`. Ends with 0 when the run is complete, whatever it found,
 * and with 3 where Java, Maven or Maven's registry is missing.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { countsOf, type EvidenceItem, evidenceOf, type GroupRun, sha256Of, type TckReport } from './run-layout.ts'

const here = import.meta.dirname
const target = join(here, 'target')
const jar = `${join(target, 'guide-board-cmis-tck-1.jar')}:${join(target, 'lib')}/*`
const bindings = [
  { name: 'browser', type: 'browser', parameter: 'org.apache.chemistry.opencmis.binding.browser.url', path: '/browser' },
  { name: 'atompub', type: 'atompub', parameter: 'org.apache.chemistry.opencmis.binding.atompub.url', path: '/atom11' },
] as const
const groups = ['basics.Basics', 'control.Control', 'crud.CRUD', 'filing.Filing', 'query.Query', 'types.Types', 'versioning.Versioning'] as const
const SUBJECT = 'opencmis-inmemory-server-1.1.0'
const START_MS = 60_000
const GROUP_MS = 600_000

const [, , output, runId = `cmis-tck-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}`] = process.argv
if (output === undefined) {
  process.stderr.write('run.ts OUTPUT [RUN_ID]\n')
  process.exit(2)
}
build()
await mkdir(output, { recursive: true })
const work = await mkdtemp(join(tmpdir(), 'cmis-tck-'))
const server = await startServer(work)
try {
  const runs: GroupRun[] = []
  for (const binding of bindings) {
    for (const group of groups) runs.push(await runGroup(output, binding, group))
  }
  await writeRun(output, runs)
} finally {
  server.child.stdin?.end()
  await once(server.child, 'exit')
  await rm(work, { recursive: true })
}

function build(): void {
  for (const tool of ['java', 'mvn']) {
    if (spawnSync(tool, ['-version']).status !== 0) missing(`${tool} is not installed`)
  }
  const built = spawnSync('mvn', ['-q', '-B', 'package'], { cwd: here, encoding: 'utf8' })
  if (built.status !== 0) missing(`Maven could not build the runner:\n${built.stdout.slice(-2_000)}`)
}

function missing(reason: string): never {
  process.stderr.write(`The conformance kit cannot be run here: ${reason}\nThe recorded run in examples/guide-board/ can be used instead.\n`)
  process.exit(3)
}

async function startServer(folder: string): Promise<{ readonly child: ChildProcess; readonly address: string }> {
  const file = join(folder, 'address')
  await mkdir(join(folder, 'web'))
  const war = join(target, 'chemistry-opencmis-server-inmemory-1.1.0.war')
  const child = spawn('java', ['-cp', jar, 'store.artifact.guideboard.InMemoryServer', war, join(folder, 'web'), file], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  for (const deadline = Date.now() + START_MS; Date.now() < deadline && child.exitCode === null; await sleep(100)) {
    const address = await readFile(file, 'utf8').catch(() => '')
    if (address !== '') return { child, address }
  }
  child.kill('SIGKILL')
  throw new Error('the server under test did not start')
}

async function runGroup(folder: string, binding: (typeof bindings)[number], group: (typeof groups)[number]): Promise<GroupRun> {
  const name = `${binding.name}-${group.split('.')[0] ?? group}`
  const place = join(folder, 'artifacts/open-cmis-tck/tck', name)
  await mkdir(place, { recursive: true })
  const parameters = [
    `org.apache.chemistry.opencmis.binding.spi.type=${binding.type}`,
    `${binding.parameter}=${server.address}${binding.path}`,
    'org.apache.chemistry.opencmis.user=test',
    'org.apache.chemistry.opencmis.password=test',
    'org.apache.chemistry.opencmis.session.repository.id=A1',
    'org.apache.chemistry.opencmis.tck.default.documentType=cmis:document',
    'org.apache.chemistry.opencmis.tck.default.folderType=cmis:folder',
  ]
  const session = join(work, 'session.properties')
  const result = join(place, 'normalized-runner-result.json')
  await writeFile(session, `${parameters.join('\n')}\n`)
  const startedAt = new Date().toISOString()
  const command = ['store.artifact.guideboard.RunGroup', session, `org.apache.chemistry.opencmis.tck.tests.${group}TestGroup`, result]
  const child = spawn('java', ['-cp', jar, ...command], { stdio: ['ignore', 'pipe', 'pipe'], timeout: GROUP_MS })
  child.stdout.pipe(createWriteStream(join(place, 'stdout.log')))
  child.stderr.pipe(createWriteStream(join(place, 'stderr.log')))
  await once(child, 'close')
  const { exitCode } = child
  const completedAt = new Date().toISOString()
  process.stdout.write(`${name} ended with ${String(exitCode)}\n`)
  const invocation = {
    group: `org.apache.chemistry.opencmis.tck.tests.${group}TestGroup`,
    binding: binding.name,
    parameters,
    started_at: startedAt,
    completed_at: completedAt,
    exit_code: exitCode,
  }
  await writeJson(join(place, 'invocation.json'), invocation)
  const text = await readFile(result, 'utf8').catch(() => undefined)
  if (text === undefined) await writeJson(result, { groups: [] })
  // Sound: RunGroup wrote it.
  const report = text === undefined ? {} : { report: JSON.parse(text) as TckReport }
  return { name, binding: binding.name, startedAt, completedAt, exitCode, ...report }
}

async function writeRun(folder: string, runs: readonly GroupRun[]): Promise<void> {
  const evidence = runs.flatMap((run) => evidenceOf(runId, SUBJECT, run))
  const findings = evidence.filter(({ result }) => result === 'fail' || result === 'warning' || result === 'infrastructure_error')
  const evidenceCounts = countsOf(evidence)
  const findingCounts = countsOf(findings)
  const [first] = runs
  const revision = runs.find(({ report }) => report !== undefined)?.report?.tckRevision ?? 'unknown'
  const status = runs.every(({ report }) => report !== undefined) ? 'completed' : 'incomplete'
  const reportPaths = ['reports/assessment-package.json', 'reports/report.md']
  const raw = sha256Of(JSON.stringify(runs.map(({ report }) => report ?? null)))
  await mkdir(join(folder, 'normalized'), { recursive: true })
  await mkdir(join(folder, 'reports'), { recursive: true })
  await writeJson(join(folder, 'run.json'), {
    run_id: runId,
    target_profile_ref: 'targets/opencmis-inmemory',
    assessment_profile_ref: 'profiles/cmis-tck-full',
    result_status: status,
    started_at: first?.startedAt ?? '',
    completed_at: runs.at(-1)?.completedAt ?? '',
    source_commits: { 'apache-chemistry-opencmis-tck': revision },
    report_paths: reportPaths,
    evidence_counts: evidenceCounts,
    finding_counts: findingCounts,
    raw_report_sha256: raw,
  })
  await writeJson(join(folder, 'plan.json'), { run_id: runId, checks: evidence.map(({ check_id }) => check_id) })
  await writeJson(join(folder, 'retention-summary.json'), { run_id: runId, summaries_days: 365, raw_artifacts_days: 30 })
  await writeJson(join(folder, 'normalized/evidence.json'), evidence)
  await writeJson(join(folder, 'normalized/findings.json'), findings.map(findingOf))
  await writeJson(join(folder, 'normalized/mappings.json'), [])
  await writeJson(join(folder, 'reports/assessment-package.json'), {
    run_id: runId,
    subject_ref: SUBJECT,
    result_status: status,
    evidence_counts: evidenceCounts,
  })
  await writeFile(join(folder, 'reports/report.md'), reportOf(evidence, status))
}

function findingOf({ id, check_id, result, observations }: EvidenceItem): object {
  return { id: `finding:${id}`, check_id, severity: result, evidence_refs: [id], summary: observations[0] ?? result }
}

function reportOf(evidence: readonly EvidenceItem[], status: string): string {
  const rows = evidence.map(({ check_id, result }) => `| ${check_id} | ${result} |`)
  return `# Conformance of ${SUBJECT}\n\nRun ${runId}: ${status}.\n\n| check | result |\n| --- | --- |\n${rows.join('\n')}\n`
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, undefined, 2)}\n`)
}
