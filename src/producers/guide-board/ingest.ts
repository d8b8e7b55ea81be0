import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import type { JsonObject } from '../../core/canonical-json.ts'
import type { Digest } from '../../core/digest.ts'
import { parseDuration, wholeDays } from '../../core/duration.ts'
import { DamagedError, InputInvalidError, NotFoundError, PurgedError } from '../../core/errors.ts'
import type { PackageId } from '../../core/name.ts'
import type { PackageLink, Provenance } from '../../core/package-document.ts'
import type { Redactor } from '../../ports/redactor.ts'
import type { Draft, OpenPackage, PutItem, Store } from '../../store/interface.ts'
import { walkTree } from '../../store/local-tree.ts'
import { readRunDirectory, type RunDirectory, type RunFacts } from './run-directory.ts'
import { RUN_SCHEMA, runSchema } from './run-schema.ts'
import { linksOf, type StateHubPlace } from './state-hub-place.ts'

/** How to take a run in. */
export interface IngestOptions {
  readonly repository: string
  /** Takes secrets out before anything is stored; one for each run. */
  readonly redactor: Redactor
  readonly tags?: readonly string[]
  /** Where it belongs in State Hub; of a run that was taken in before, what was said then stays. */
  readonly place?: StateHubPlace
  readonly signal?: AbortSignal
}

/** What became of a run. */
export interface IngestedRun {
  readonly packageId: PackageId
  readonly manifestDigest: Digest
  readonly fileCount: number
  readonly reusedExisting: boolean
}

/** Raw output of the tests; everything else is summary. */
const RAW = ['artifacts/**']
/** Who made it, as packages say. */
export const PRODUCER = 'guide-board'
/** Member of the environment in the provenance: the folder where the run was found. */
export const RUN_DIRECTORY = 'run_directory'

/**
 * Takes a run of guide-board in as one package: checked as a whole, secrets taken out before any digest is computed, summaries and raw artifacts each
 * kept as the run wants it. Taking the same run in again finds the package that is there. Of a run that is refused nothing stays.
 * @throws TreeRefusedError with every reason why the run is incomplete or does not agree with itself
 * @throws RunConflictError when the run was taken in with other content
 */
export async function ingestRun(store: Store, directory: string, options: IngestOptions): Promise<IngestedRun> {
  const folder = resolve(directory)
  const run = await readRunDirectory(folder)
  await registerSchema(store)
  const draft = await store.packages.open(await openRequest(store, run, options))
  if (draft.status === 'open') {
    try {
      await putRun(draft, folder, options)
    } catch (error) {
      // One that was stopped goes on where it was; one that failed leaves nothing.
      if (options.signal?.aborted !== true) await draft.abort().catch(() => undefined)
      throw error
    }
  }
  // Said when it is sealed, not when it is opened: the same run is the same run wherever it lies, and whatever it belongs to.
  const { directory: place = folder, links = linksOf(options.place ?? {}) } = await saidBefore(store, draft, run.facts.run_id)
  const sealed = await draft.finalize({ provenance: provenanceOf(run.facts, place, options.redactor), links })
  const { id, manifestDigest, fileCount, reusedExisting } = sealed
  return { packageId: id, manifestDigest, fileCount, reusedExisting }
}

/** A run that takes its content again, as part of it expired or was damaged, is told of as it was when it was first sealed. */
async function saidBefore(
  store: Store,
  { status, repository }: Draft,
  runId: string,
): Promise<{ readonly directory?: string; readonly links?: readonly PackageLink[] }> {
  if (status === 'finalized') return {}
  const found = await store.packages.search({ repository, runId }, { limit: 100 })
  const known = found.items.find((item) => item.repository === repository)
  if (known === undefined) return {}
  try {
    const { provenance, links = [] } = await store.packages.document(known.id)
    const directory = provenance?.environment?.[RUN_DIRECTORY]
    return { links, ...(directory === undefined ? {} : { directory }) }
  } catch (error) {
    // What is deleted as a whole, or cannot be read, says nothing any more.
    if (error instanceof PurgedError || error instanceof DamagedError) return {}
    throw error
  }
}

/** Whoever may not register it can still use it once somebody has. */
async function registerSchema(store: Store): Promise<void> {
  try {
    await store.schemas.get(RUN_SCHEMA)
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    await store.schemas.register(RUN_SCHEMA, runSchema)
  }
}

async function openRequest(store: Store, { facts, summaryDays, rawDays }: RunDirectory, { repository, tags }: IngestOptions): Promise<OpenPackage> {
  return {
    repository,
    type: 'guide-board.run',
    producer: PRODUCER,
    subject: facts.target_profile_ref,
    runId: facts.run_id,
    retentionClass: await classOf(store, summaryDays, 'summary-evidence'),
    fileSets: [{ name: 'raw', match: RAW, class: await classOf(store, rawDays, 'raw-evidence') }],
    metadata: metadataOf(facts),
    metadataSchema: RUN_SCHEMA,
    ...(tags === undefined ? {} : { tags }),
  }
}

/** The class that keeps for so many days: the usual one if it does, or another. */
async function classOf(store: Store, days: number, usual: string): Promise<string> {
  const fitting = (await store.retention.classes())
    .filter(({ duration }) => duration !== undefined && wholeDays(parseDuration(duration)) === days)
    .map(({ name }) => name)
  const [found] = fitting.includes(usual) ? [usual] : fitting
  if (found !== undefined) return found
  throw new InputInvalidError(
    `the run is to be kept for ${days} days, and no retention class is that long; make one ('artifact-store retention classes --help')`,
  )
}

function metadataOf({ source_commits, report_paths, evidence_counts, finding_counts, ...texts }: RunFacts): JsonObject {
  return {
    ...texts,
    source_commits: { ...source_commits },
    report_paths: [...report_paths],
    evidence_counts: { ...evidence_counts },
    finding_counts: { ...finding_counts },
  }
}

async function putRun(draft: Draft, folder: string, { redactor, signal }: IngestOptions): Promise<void> {
  const withSignal = signal === undefined ? {} : { signal }
  for await (const outcomes of draft.putMany(itemsOf(folder, redactor, withSignal), withSignal)) {
    for (const outcome of outcomes) if ('error' in outcome) throw outcome.error
  }
}

async function* itemsOf(folder: string, redactor: Redactor, options: { readonly signal?: AbortSignal }): AsyncGenerator<PutItem, void, undefined> {
  for await (const entries of walkTree(folder, options)) {
    for (const entry of entries) {
      if (entry.kind !== 'file') yield entry
      else {
        const { path, absolute, executable } = entry
        yield { kind: 'file', path, executable, source: redactor.redact(path, contentOf(absolute)) }
      }
    }
  }
}

/** Opens a file when it is read, not before: many are given at once. */
async function* contentOf(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces: AsyncIterable<Uint8Array> = createReadStream(file)
  yield* pieces
}

/** Where the run comes from, and which rules took something out of it how often. */
function provenanceOf(facts: RunFacts, folder: string, redactor: Redactor): Provenance {
  const environment: Record<string, string> = { [RUN_DIRECTORY]: folder }
  for (const [rule, count] of redactor.matches()) environment[`redacted.${rule}`] = String(count)
  return {
    sources: Object.entries(facts.source_commits).map(([repository, commit]) => ({ repository, commit })),
    tool: { name: PRODUCER },
    environment,
  }
}
