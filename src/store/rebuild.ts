import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { StateConflictError } from '../core/errors.ts'
import { comparePaths } from '../core/path.ts'
import { getLogHead, listEvents } from '../registry/events.ts'
import { createSchema, openRegistry } from '../registry/open.ts'
import type { Registry } from '../registry/registry.ts'
import { openSqlite } from '../registry/sqlite.ts'
import { replaceViews } from '../registry/view-replacement.ts'
import { type ViewRow, viewNames, viewRows } from '../registry/view-rows.ts'
import type { StoreContext } from './context.ts'
import { isDamage, PackageReader } from './package-reader.ts'
import { prepareReplay, replay, type ReplayStep } from './replay.ts'

const PAGE = 500
/** Differences that are listed; all are counted. */
const LISTED = 100

/** A row that the log says should be otherwise. `found` undefined: it is missing; `expected` undefined: it should not be. */
export interface ViewDifference {
  readonly view: string
  readonly found: ViewRow | undefined
  readonly expected: ViewRow | undefined
}

/** What replaying the log showed. */
export interface RebuildReport {
  readonly events: number
  readonly rows: number
  readonly differences: number
  readonly listed: readonly ViewDifference[]
}

/**
 * Replays the log into shadow tables and compares them with the views as they are. With `replace` what follows from the log takes the place of views
 * that differ, in one transaction; otherwise nothing is changed.
 * @throws LogCorruptError when events contradict each other; StateConflictError when the log grew meanwhile: nothing was replaced
 */
export async function rebuildViews(context: StoreContext, options: { readonly replace?: boolean } = {}): Promise<RebuildReport> {
  const folder = await mkdtemp(join(tmpdir(), 'artifact-store-rebuild-'))
  const database = await openSqlite(join(folder, 'shadow.db'))
  try {
    await createSchema(database)
    const shadow = await openRegistry(database)
    const events = await replayInto(shadow, context)
    const report = await compare(context.registry, shadow)
    if (options.replace === true && report.differences > 0) await replaceBy(context.registry, shadow, events)
    await shadow.close()
    return { events, ...report }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function replaceBy(registry: Registry, shadow: Registry, events: number): Promise<void> {
  await registry.write('replace-views', async (session) => {
    const { seq } = await getLogHead(session)
    if (seq !== events) throw new StateConflictError('the log grew while it was replayed; rebuild again while nobody writes')
    await replaceViews(session, shadow.reader)
  })
}

async function replayInto(shadow: Registry, context: StoreContext): Promise<number> {
  const packages = new PackageReader(context)
  const { seq: head } = await getLogHead(context.registry.reader)
  for (let after = 0; after < head;) {
    const page = (await listEvents(context.registry.reader, after, PAGE)).filter((event) => event.seq <= head)
    const steps: ReplayStep[] = []
    for (const event of page) {
      steps.push(
        await prepareReplay(event, async (data) => ({
          document: await readable(packages.readDocument(data.documentDigest)),
          root: await readable(packages.manifest(data.manifestDigest)),
        })),
      )
    }
    await shadow.write('replay', async (session) => {
      for (const step of steps) await replay(session, step)
    })
    after = page.at(-1)?.seq ?? head
  }
  return head
}

async function readable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isDamage(error)) return undefined
    throw error
  }
}

async function compare(live: Registry, shadow: Registry): Promise<Omit<RebuildReport, 'events'>> {
  const listed: ViewDifference[] = []
  let differences = 0
  let rows = 0
  for (const view of viewNames) {
    for await (const { found, expected } of paired(viewRows(live.reader, view), viewRows(shadow.reader, view))) {
      rows += 1
      if (sameRow(found, expected)) continue
      differences += 1
      if (listed.length < LISTED) listed.push({ view, found, expected })
    }
  }
  return { rows, differences, listed }
}

/** Both are in the same order; a row that only one has is told by its key, the leading columns up to where it differs. */
async function* paired(
  live: AsyncIterator<ViewRow>,
  shadow: AsyncIterator<ViewRow>,
): AsyncGenerator<{ readonly found: ViewRow | undefined; readonly expected: ViewRow | undefined }, void, undefined> {
  let [found, expected] = [await next(live), await next(shadow)]
  while (found !== undefined || expected !== undefined) {
    const order = found === undefined ? 1 : expected === undefined ? -1 : compareKeys(found, expected)
    yield { found: order <= 0 ? found : undefined, expected: order >= 0 ? expected : undefined }
    if (order <= 0) found = await next(live)
    if (order >= 0) expected = await next(shadow)
  }
}

async function next(rows: AsyncIterator<ViewRow>): Promise<ViewRow | undefined> {
  const step = await rows.next()
  return step.done === true ? undefined : step.value
}

/** The first two columns order every view, or the first alone. */
function compareKeys(left: ViewRow, right: ViewRow): number {
  for (const column of Object.keys(left).slice(0, 2)) {
    const [a, b] = [left[column] ?? '', right[column] ?? '']
    if (a instanceof Uint8Array && b instanceof Uint8Array) {
      const order = Buffer.compare(a, b)
      if (order === 0) continue
      return order
    }
    if (a === b) continue
    return typeof a === 'number' && typeof b === 'number' ? a - b : comparePaths(String(a), String(b))
  }
  return 0
}

function sameRow(left: ViewRow | undefined, right: ViewRow | undefined): boolean {
  if (left === undefined || right === undefined) return false
  return Object.keys(left).every((column) => sameValue(left[column], right[column]))
}

function sameValue(left: ViewRow[string] | undefined, right: ViewRow[string] | undefined): boolean {
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right) === 0
  return left === right
}
