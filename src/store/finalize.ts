import { type Digest, digestOf, rawSha256, sha256Digest } from '../core/digest.ts'
import { EMPTY_BYTES, EMPTY_DESCRIPTOR } from '../core/descriptor.ts'
import { type EntryProblem, NotFoundError, TreeRefusedError } from '../core/errors.ts'
import { type AssignedLayer, buildManifests, type BuiltManifest } from '../core/manifest.ts'
import type { PackageId } from '../core/name.ts'
import { buildPackageDocument, encodePackageDocument, type PackageDocument } from '../core/package-document.ts'
import { type FilePath, parsePath, PathConflicts, twinProblem } from '../core/path.ts'
import type { IngestItem } from '../ports/data-plane.ts'
import { type FileRow, getEntry, hasEntriesBelow, listNamedFiles, listOthers, listPaths, listUnnamedFiles } from '../registry/draft-entries.ts'
import { type DraftRow, findDraft, reopenDraft, startSealing } from '../registry/drafts.ts'
import { findLiveChunk } from '../registry/chunks.ts'
import { hold } from '../registry/holders.ts'
import { createUnpublished, findPublishedManifest, listUnpublished } from '../registry/manifests.ts'
import { findPackage } from '../registry/packages.ts'
import { uuidv4 } from '../core/uuid.ts'
import { entryKind } from '../registry/tables.ts'
import type { StoreContext } from './context.ts'
import { nameStored, type Stored } from './intake.ts'
import type { FinalizedPackage, FinalizePackage } from './interface.ts'
import { checkMetadata } from './metadata-schemas.ts'
import { documentInput, type OpenRequest, parseOpenRequest } from './open-request.ts'
import { assertSealing, publishPackage, receiptOf, type SealedManifest, type SealingDraft } from './publish.ts'
import { assertThere } from './tombstone.ts'

/** Rows read at once, and edges filled in one transaction. */
const PAGE = 1_000
const EDGES_PER_COMMIT = 1_000

/**
 * Seals an open package (STORAGE section 3, step 4): checks the tree as a whole, writes document and manifests, fills the manifests' edges in short
 * transactions, and publishes all of it in one. Repeatable: a sealed package returns its receipt.
 * @throws TreeRefusedError with everything that is wrong between the entries; the package stays open
 */
export async function finalizeDraft(context: StoreContext, id: PackageId, sealing: FinalizePackage): Promise<FinalizedPackage> {
  const sealer = uuidv4()
  const draft = await context.registry.write('sealing', async (session) => {
    const row = await findDraft(session, id)
    if (row !== undefined) await startSealing(session, row.id, sealer)
    return row === undefined ? undefined : { ...row, sealer }
  })
  if (draft === undefined) {
    const sealed = await findPackage(context.registry.reader, id)
    if (sealed === undefined) throw new NotFoundError(`no package ${id}`)
    assertThere(sealed)
    return receiptOf(sealed, sealed.uuid !== id)
  }
  const request = parseOpenRequest(draft.request)
  let document: PackageDocument
  try {
    const directories = await checkTree(context, draft)
    const symlinks = await collectSymlinks(context, draft)
    document = buildPackageDocument({ ...documentInput(request, sealing), symlinks, directories })
    encodePackageDocument(document)
    await checkMetadata(context, document.metadataSchema, document.metadata ?? {})
  } catch (error) {
    await context.registry.write('reopen', (session) => reopenDraft(session, draft.id))
    throw error
  }
  const sealed = await writeManifests(context, draft, request, document)
  const receipt = await publishPackage(context, draft, request, document, sealed)
  context.clearance.add(draft)
  return receipt
}

/** Finds what is wrong between entries. @returns the directories that hold nothing */
async function checkTree(context: StoreContext, draft: DraftRow): Promise<readonly FilePath[]> {
  const { reader } = context.registry
  const conflicts = new PathConflicts()
  for (let after = ''; ;) {
    const page = await listPaths(reader, draft.id, after, PAGE)
    for (const { path, kind } of page) conflicts.add(path, kind === entryKind.file ? 'file' : kind === entryKind.symlink ? 'symlink' : 'directory')
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) break
    after = last.path
  }
  const problems: EntryProblem[] = conflicts.problems()
  for (const [normal, found] of conflicts.twinsToCheck()) {
    const taken = (await getEntry(reader, draft.id, parsePath(normal))) !== undefined || (await hasEntriesBelow(reader, draft.id, normal))
    if (taken) problems.push(twinProblem(found, normal))
  }
  if (problems.length > 0) {
    const first = problems[0]
    throw new TreeRefusedError(
      `package ${draft.uuid} cannot be sealed: ${problems.length} of its entries conflict${first === undefined ? '' : `, first ${first.path}: ${first.reason}`}`,
      problems,
    )
  }
  return conflicts.emptyDirectories()
}

async function collectSymlinks(context: StoreContext, draft: DraftRow): Promise<{ readonly path: string; readonly target: string }[]> {
  const links: { path: string; target: string }[] = []
  for (let after = ''; ;) {
    const page = await listOthers(context.registry.reader, draft.id, 'symlink', after, PAGE)
    for (const { path, target } of page) links.push({ path, target: target ?? '' })
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return links
    after = last.path
  }
}

/** Stores document and manifests and fills the edges of those that are new. */
async function writeManifests(
  context: StoreContext,
  draft: SealingDraft,
  request: OpenRequest,
  document: PackageDocument,
): Promise<readonly SealedManifest[]> {
  const bytes = encodePackageDocument(document)
  const digest = digestOf(bytes)
  const supplied: number[] = []
  const manifests = buildManifests({
    artifactType: request.type,
    document: { bytes, digest },
    hasFileSets: request.fileSets.length > 0,
    files: filePages(context, draft, supplied),
  })
  const configs = new Map<Digest, Uint8Array>([[digest, bytes]])
  const sealed: SealedManifest[] = []
  let room = EDGES_PER_COMMIT
  const unpublished = new Map((await listUnpublished(context.registry.reader, draft.id)).map((row) => [row.chunk_id, row.id]))
  // A few manifests at a time: each is at most 3.5 MiB, and they share a flush.
  for await (const group of grouped(manifests)) {
    const blobs = group.map((manifest) => manifest.bytes)
    const needsEmpty = group.some((manifest) => manifest.layers.includes(EMPTY_DESCRIPTOR.digest))
    if (needsEmpty) configs.set(EMPTY_DESCRIPTOR.digest, EMPTY_BYTES)
    const pending = [...configs.values()]
    configs.clear()
    const chunks = await storeForDraft(context, draft, [
      ...pending.map((content): IngestItem => ({ source: { kind: 'bytes', bytes: content } })),
      ...blobs.map((content): IngestItem => ({ source: { kind: 'bytes', bytes: content }, content: 'manifest' })),
    ])
    for (const [position, manifest] of group.entries()) {
      const chunk = chunks[pending.length + position]
      if (chunk === undefined) throw new TypeError('a stored manifest has no row')
      const files = supplied.splice(0, manifest.role === 'index' ? 0 : manifest.fileCount)
      const filled = await fillManifest(context, draft, { manifest, chunk, begun: unpublished.get(chunk) }, files, room)
      room -= filled.edges.length
      sealed.push(filled)
    }
  }
  return sealed
}

/** Files in the order the format wants them, remembering the rows they point to. */
async function* filePages(context: StoreContext, draft: DraftRow, supplied: number[]): AsyncGenerator<readonly AssignedLayer[], void, undefined> {
  const { reader } = context.registry
  const layers = (page: readonly FileRow[]): AssignedLayer[] => {
    for (const row of page) supplied.push(row.chunk_id)
    return page.map((row) => ({
      path: row.path,
      digest: sha256Digest(row.digest),
      size: row.size,
      mediaType: row.media_type,
      executable: row.executable === 1,
      setKey: row.set_key,
    }))
  }
  for (let after = ''; ;) {
    const page = await listUnnamedFiles(reader, draft.id, after, PAGE)
    if (page.length > 0) yield layers(page)
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) break
    after = last.path
  }
  for (let after = { set: '', path: '' }; ;) {
    const page = await listNamedFiles(reader, draft.id, after, PAGE)
    if (page.length > 0) yield layers(page)
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    after = { set: last.set_key, path: last.path }
  }
}

async function* grouped(manifests: AsyncIterable<BuiltManifest>): AsyncGenerator<readonly BuiltManifest[], void, undefined> {
  let group: BuiltManifest[] = []
  let bytes = 0
  for await (const manifest of manifests) {
    group.push(manifest)
    bytes += manifest.bytes.length
    if (bytes < 2 * 1024 * 1024) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

/** Stores blobs that the draft itself holds. @returns their rows in order */
async function storeForDraft(context: StoreContext, draft: DraftRow, items: readonly IngestItem[]): Promise<readonly number[]> {
  const rows: number[] = []
  const batches = context.dataPlane.ingestMany(items, {
    resolve: (blobs) =>
      context.registry.write('attach-manifest', async (session) => {
        const answers: boolean[] = []
        for (const { index, digest } of blobs) {
          const live = await findLiveChunk(session, digest)
          if (live !== undefined) {
            await hold(session, 'draft', draft.id, live.id)
            rows[index] = live.id
          }
          answers.push(live !== undefined)
        }
        return answers
      }),
  })
  for await (const batch of batches) {
    const stored: Stored[] = []
    for (const outcome of batch) {
      if ('error' in outcome) throw outcome.error
      if (rows[outcome.index] === undefined) stored.push(outcome)
    }
    if (stored.length === 0) continue
    const ids = await context.registry.write('record-manifest', async (session) => {
      const named = await nameStored(context, session, stored)
      for (const id of named) await hold(session, 'draft', draft.id, id)
      return named
    })
    for (const [position, outcome] of stored.entries()) {
      const id = ids[position]
      if (id !== undefined) rows[outcome.index] = id
    }
  }
  return rows
}

/**
 * Makes a manifest a holder of what it names, in batches. The draft holds all of it meanwhile, and is checked to be there in each (I3). Up to `room`
 * edges are left to the publishing transaction. A complete manifest with the same bytes is adopted.
 */
async function fillManifest(
  context: StoreContext,
  draft: SealingDraft,
  { manifest, chunk, begun }: { readonly manifest: BuiltManifest; readonly chunk: number; readonly begun: number | undefined },
  files: readonly number[],
  room: number,
): Promise<SealedManifest> {
  const { registry } = context
  if ((await findPublishedManifest(registry.reader, chunk)) !== undefined) return { manifest, chunk, id: undefined, adopted: true, edges: [] }
  const others = namedBeside(manifest)
  const edges = [...new Set([...(await rowsOf(context, others)), ...files])]
  let id = begun
  while (edges.length > room) {
    const batch = edges.splice(0, EDGES_PER_COMMIT)
    id = await registry.write('edges', async (session) => {
      await assertSealing(session, draft)
      const holder = id ?? (await createUnpublished(session, chunk, draft.id))
      for (const target of batch) await hold(session, 'manifest', holder, target)
      return holder
    })
  }
  return { manifest, chunk, id, adopted: false, edges }
}

/**
 * What a manifest holds beside its files. An index holds only its first child, which has the document: each package holds the children with files
 * itself, so that file sets expire one by one and for each package on its own.
 */
function namedBeside({ role, fileCount, layers }: BuiltManifest): readonly Digest[] {
  return role !== 'index' && fileCount === 0 ? layers : layers.slice(0, 1)
}

/** The rows of documents and manifests that were just stored. */
async function rowsOf(context: StoreContext, digests: readonly Digest[]): Promise<readonly number[]> {
  const rows: number[] = []
  for (const digest of digests) {
    const live = await findLiveChunk(context.registry.reader, rawSha256(digest))
    if (live === undefined) throw new TypeError(`${digest} is named by a manifest but was not stored`)
    rows.push(live.id)
  }
  return rows
}
