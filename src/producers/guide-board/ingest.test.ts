import assert from 'node:assert/strict'
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultRedactionRules } from '../../adapters/redactor-rules/redaction-rule.ts'
import { createRuleRedactor } from '../../adapters/redactor-rules/redactor-rules.ts'
import { TreeRefusedError } from '../../core/errors.ts'
import { createStore } from '../../store/open.ts'
import { pullTree } from '../../store/pull-tree.ts'
import { compareTrees } from '../../testing/compare-trees.ts'
import { collect, rejectsWith } from '../../testing/store-case.ts'
import { type IngestedRun, ingestRun } from './ingest.ts'

const recorded = fileURLToPath(new URL('../../../examples/guide-board/cmis-tck-run', import.meta.url))
const scratch = await mkdtemp(join(tmpdir(), 'guide-board-'))
const store = await createStore(join(scratch, 'store'))
after(async () => {
  await store.close()
  await rm(scratch, { recursive: true })
})

let counter = 0
async function copyOfRun(): Promise<string> {
  const folder = join(scratch, `run${++counter}`)
  await cp(recorded, folder, { recursive: true })
  return folder
}

function ingest(folder: string, repository = `boards/r${++counter}`): Promise<IngestedRun> {
  return ingestRun(store, folder, { repository, redactor: createRuleRedactor(defaultRedactionRules) })
}

async function edit(folder: string, path: string, change: (document: Record<string, unknown>) => void): Promise<void> {
  const file = join(folder, path)
  const document = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
  change(document)
  await writeFile(file, JSON.stringify(document))
}

async function refusal(folder: string): Promise<readonly string[]> {
  const repository = `refused/r${++counter}`
  const error = await rejectsWith('tree_refused', ingest(folder, repository))
  assert.ok(error instanceof TreeRefusedError)
  await rejectsWith('not_found', store.repositories.get(repository))
  return error.problems.map(({ path, reason }) => `${path} ${reason}`)
}

describe('a recorded run of the CMIS conformance kit', () => {
  test('becomes one package, whose files come back byte for byte', async () => {
    const run = await ingest(recorded, 'boards/recorded')
    const output = join(scratch, 'pulled')
    await pullTree(store, run.packageId, output)
    assert.deepEqual(await compareTrees(recorded, output), [])
    const info = await store.packages.get(run.packageId)
    assert.deepEqual([info.producer, info.subject, info.runId], ['guide-board', 'targets/opencmis-inmemory', 'cmis-tck-recorded-1'])
    assert.equal(info.metadata?.['result_status'], 'completed')
    assert.equal(run.reusedExisting, false)
  })

  test('keeps raw artifacts for a shorter time than summaries', async () => {
    const { packageId } = await ingest(recorded, 'boards/kept')
    const parts = (await store.retention.show(packageId)).parts.map(({ set, class: name }) => [set, name])
    assert.deepEqual(Object.fromEntries(parts), { '': 'summary-evidence', raw: 'raw-evidence' })
    const files = await collect(store.files.list(packageId))
    for (const file of files) {
      assert.ok(file.kind === 'file')
      assert.deepEqual(file.fileSets, file.path.startsWith('artifacts/') ? ['raw'] : [], file.path)
    }
  })

  test('is taken in once, however often it is given', async () => {
    const first = await ingest(recorded, 'boards/once')
    assert.deepEqual(await ingest(recorded, 'boards/once'), { ...first, reusedExisting: true })
    const changed = await copyOfRun()
    await appendFile(join(changed, 'reports/report.md'), 'afterwards\n')
    assert.deepEqual(await ingest(changed, 'boards/once'), { ...first, reusedExisting: true }, 'a run that was sealed is not read again')
    await edit(changed, 'run.json', (run) => (run['target_profile_ref'] = 'another'))
    await rejectsWith('run_conflict', ingest(changed, 'boards/once'))
  })

  test('loses its secrets before anything is stored, and the package says by which rule, never which', async () => {
    const folder = await copyOfRun()
    const log = 'artifacts/open-cmis-tck/tck/browser-basics/stdout.log'
    await writeFile(join(folder, log), 'Authorization: Basic dXNlcjpwYXNz\nclient_secret=canary-1234&x\nordinary\n')
    const { packageId } = await ingest(folder)
    const pieces = await collect(store.files.read(packageId, log))
    assert.equal(
      Buffer.concat(pieces).toString(),
      'Authorization: [redacted:authorization-header]\nclient_secret=[redacted:secret-parameter]&x\nordinary\n',
    )
    const document = JSON.stringify(await store.packages.document(packageId))
    assert.match(document, /"redacted\.authorization-header":"1"/)
    assert.doesNotMatch(document, /canary|dXNlcjpwYXNz/)
  })
})

describe('a run', () => {
  test('that was blocked is a run too', async () => {
    const folder = await copyOfRun()
    await rm(join(folder, 'artifacts'), { recursive: true })
    const blocked = { id: 'b', run_id: 'blocked-1', check_id: 'cmis-tck', result: 'blocked', observations: ['java is not installed'] }
    await writeFile(join(folder, 'normalized/evidence.json'), JSON.stringify([blocked]))
    await writeFile(join(folder, 'normalized/findings.json'), '[]')
    for (const path of ['run.json', 'plan.json', 'reports/assessment-package.json'])
      await edit(folder, path, (document) => (document['run_id'] = 'blocked-1'))
    await edit(folder, 'run.json', (run) => Object.assign(run, { result_status: 'blocked', evidence_counts: { blocked: 1 }, finding_counts: {} }))
    const { fileCount } = await ingest(folder)
    assert.equal(fileCount, 8)
  })

  test('that is incomplete is refused with everything that is missing, and leaves nothing behind', async () => {
    const folder = await copyOfRun()
    await rm(join(folder, 'plan.json'))
    await rm(join(folder, 'reports/report.md'))
    await rm(join(folder, 'artifacts/open-cmis-tck/tck/browser-crud/invocation.json'))
    await writeFile(join(folder, 'normalized/mappings.json'), 'nonsense')
    const problems = await refusal(folder)
    assert.ok(problems.includes('plan.json is missing'))
    assert.ok(problems.includes('reports/report.md is missing'))
    assert.ok(problems.some((problem) => problem.startsWith('artifacts/open-cmis-tck/tck/browser-crud/invocation.json is named by')))
    assert.ok(problems.some((problem) => problem.startsWith('normalized/mappings.json not JSON')))
  })

  test('that does not agree with itself is refused with each reason', async () => {
    const folder = await copyOfRun()
    await edit(folder, 'run.json', (run) => {
      delete run['assessment_profile_ref']
      run['source_commits'] = 7
    })
    assert.deepEqual((await refusal(folder)).toSorted(), [
      'run.json has no assessment_profile_ref',
      'run.json has no source_commits, or not of the right form',
    ])
    const other = await copyOfRun()
    await edit(other, 'run.json', (run) =>
      Object.assign(run, { evidence_counts: { pass: 1 }, report_paths: ['reports/../run.json', 'reports/none.md'] }),
    )
    await edit(other, 'plan.json', (plan) => (plan['run_id'] = 'other'))
    await edit(other, 'retention-summary.json', (retention) => (retention['summaries_days'] = -1))
    const problems = await refusal(other)
    for (const expected of [
      /^plan\.json belongs to run "other"/,
      /counts 1 items of evidence with result pass/,
      /^reports\/\.\.\/run\.json/,
      /^reports\/none\.md is named/,
      /summaries_days/,
    ]) {
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        String(expected),
      )
    }
  })
})
