import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { fullAccess } from '../core/access.ts'
import { type Digest, rawSha256, sha256Digest } from '../core/digest.ts'
import { StoreMissingError } from '../core/errors.ts'
import { formatTime, type LoggedEvent } from '../core/event.ts'
import type { ParsedManifest } from '../core/manifest.ts'
import { uuidv7 } from '../core/uuid.ts'
import { createInprocDataPlane } from '../data-plane/inproc.ts'
import type { Backend } from '../ports/backend.ts'
import { type SteadyClock, systemClock } from '../ports/clock.ts'
import { documentKinds, listDocuments } from '../registry/documents.ts'
import { locateChunk } from '../registry/chunks.ts'
import { insertLoggedEvent } from '../registry/events.ts'
import { hold } from '../registry/holders.ts'
import { findPublishedManifest } from '../registry/manifests.ts'
import { createSchema, openRegistry } from '../registry/open.ts'
import { listChildren, listKeptPackages, type PackageRow } from '../registry/packages.ts'
import { insertPublishedManifest, lastChunkId, namedChunk, queueUnheldChunks } from '../registry/recovery.ts'
import type { Registry } from '../registry/registry.ts'
import { setSetting } from '../registry/settings.ts'
import { openSqlite } from '../registry/sqlite.ts'
import type { StoreContext } from './context.ts'
import { DraftClearance } from './draft-clearance.ts'
import { EventHub } from './event-hub.ts'
import { checkMarker } from './identity.ts'
import { type MirroredLog, readMirroredLog } from './log-recovery.ts'
import { ManifestCache } from './manifest-cache.ts'
import { LogMirror } from './mirror.ts'
import { type ObjectFindings, ObjectRecovery, type ObjectScan } from './object-recovery.ts'
import { isDamage, PackageReader } from './package-reader.ts'
import { finalized, manifestsOf, type NamedDocuments, prepareReplay, replay } from './replay.ts'
import { SchemaThread } from './schema-thread.ts'
import { exists, storeFiles } from './store-files.ts'
import { TrustedClock } from './trusted-clock.ts'
import { UploadWork } from './upload-work.ts'
import type { PackageFinalized } from './views.ts'
import { WriterSession } from './writer-session.ts'

/** Chunks whose review is queued in one transaction. */
const CHUNKS_PER_COMMIT = 10_000
const EDGES_PER_COMMIT = 500
/** Packages, or documents, that are looked at together. */
const PACKAGES_AT_ONCE = 500

/** What a recovery found and did. */
export interface RecoveryReport {
  readonly storeId: string
  readonly logId: string
  /** The log was complete as far as can be told; otherwise it goes on under a new id, and cursors of the old one end. */
  readonly lossy: boolean
  /** Why it counts as lossy. */
  readonly reasons: readonly string[]
  /** The registry is complete up to this event. */
  readonly completeTo: number
  /** Chain hash there, hexadecimal. */
  readonly head: string
  readonly packages: number
  readonly objects: ObjectScan
  /** Packages whose document or manifests cannot be read in full. */
  readonly damagedPackages: readonly string[]
  /** Manifests in packs that belong to no package of the log: unfinished, or sealed after the last mirrored event. */
  readonly unnamedManifests: readonly Digest[]
  /** Where the registry that was there has gone, if there was one. */
  readonly previousRegistry: string | undefined
}

/**
 * Rebuilds the registry of an embedded store from its objects alone. The new one takes its place only when it is complete; one that was there is kept
 * beside it. Nothing of the objects is changed.
 * @throws StoreMissingError when there are no objects of a store
 */
export async function recoverStore(directory: string, options: { readonly clock?: SteadyClock } = {}): Promise<RecoveryReport> {
  const clock = options.clock ?? systemClock
  const files = storeFiles(directory)
  const backend = await openFileSystemBackend(files.objects)
  const storeId = await findStoreId(backend)
  await checkMarker(backend, storeId)
  const draft = `${files.registry}.recovering`
  await removeDatabase(draft)
  const database = await openSqlite(draft)
  await createSchema(database)
  const registry = await openRegistry(database, { clock })
  const report = await new Recovery(backend, registry, storeId, clock).run()
  await registry.close()
  await backend.close()
  const previousRegistry = (await exists(files.registry)) ? `${files.registry}.before-${formatTime(clock.now()).replaceAll(':', '')}` : undefined
  if (previousRegistry !== undefined) await moveDatabase(files.registry, previousRegistry)
  await moveDatabase(draft, files.registry)
  return { ...report, previousRegistry }
}

class Recovery {
  readonly #backend: Backend
  readonly #registry: Registry
  readonly #storeId: string
  readonly #clock: SteadyClock
  readonly #packages: PackageReader
  readonly #named = new Set<string>()
  readonly #damagedPackages = new Set<string>()
  #packageCount = 0

  constructor(backend: Backend, registry: Registry, storeId: string, clock: SteadyClock) {
    this.#backend = backend
    this.#registry = registry
    this.#storeId = storeId
    this.#clock = clock
    const writer = new WriterSession(storeId, registry)
    const dataPlane = createInprocDataPlane({ backend, host: writer, storeId })
    const mirror = new LogMirror(backend, registry, { storeId, logId: '', owner: writer.owner })
    const context: StoreContext = {
      storeId,
      logId: '',
      actor: 'recover',
      access: fullAccess('recover'),
      registry,
      backend,
      dataPlane,
      writer,
      mirror,
      eventHub: new EventHub(registry.reader, ''),
      clearance: new DraftClearance(registry),
      spoolFolder: '',
      manifests: new ManifestCache(),
      uploadWork: new UploadWork(registry),
      schemaThread: new SchemaThread(),
      clock: new TrustedClock(clock),
      readOnly: () => undefined,
    }
    this.#packages = new PackageReader(context)
  }

  async run(): Promise<Omit<RecoveryReport, 'previousRegistry'>> {
    const { gone, ...found } = await new ObjectRecovery(this.#backend, this.#registry, this.#storeId).run()
    const log = await readMirroredLog(this.#backend, this.#storeId, (events) => this.#replayAll(events))
    await this.#holdAll()
    const objects = { ...found, damage: [...found.damage, ...(await this.#lost(gone))] }
    const unnamedManifests = [...objects.manifests].filter((digest): digest is Digest => !this.#named.has(digest))
    const reasons = lossReasons(objects, log, unnamedManifests)
    const lossy = reasons.length > 0
    const logId = lossy || log === undefined ? uuidv7(this.#clock.now()) : log.logId
    await this.#queueUnheld()
    await this.#registry.write('recover-settings', async (session) => {
      await setSetting(session, 'store-id', this.#storeId)
      await setSetting(session, 'log-id', logId)
      await setSetting(session, 'created-at', formatTime(this.#clock.now()))
      // A new log is mirrored from its first event on.
      await setSetting(session, 'mirrored-seq', lossy ? '0' : String(log?.completeTo ?? 0))
    })
    return {
      storeId: this.#storeId,
      logId,
      lossy,
      reasons,
      completeTo: log?.completeTo ?? 0,
      head: Buffer.from(log?.head ?? []).toString('hex'),
      packages: this.#packageCount,
      objects,
      damagedPackages: [...this.#damagedPackages],
      unnamedManifests,
    }
  }

  /** Objects that are not there and that somebody needs; the others were collected. */
  async #lost(gone: ObjectFindings['gone']): Promise<ObjectScan['damage']> {
    const lost = []
    for (const { key, digest } of gone) {
      const place = await locateChunk(this.#registry.reader, digest)
      if (place?.damaged === true && place.key === undefined) lost.push({ key, reason: 'the object is gone' })
    }
    return lost
  }

  async #replayAll(events: readonly LoggedEvent[]): Promise<void> {
    for (const event of events) {
      const step = await prepareReplay(event, (data) => this.#read(data))
      await this.#registry.write('recover-event', async (session) => {
        await insertLoggedEvent(session, event)
        await replay(session, step)
      })
      if (event.type === 'package.finalized') for (const digest of manifestsOf(finalized(event), step.named?.root)) this.#named.add(digest)
    }
  }

  /** A package whose bytes are lost is still a package of the log: it is there, and says so when it is read. */
  async #read(data: Pick<PackageFinalized, 'documentDigest' | 'manifestDigest'>): Promise<NamedDocuments> {
    const document = await this.#ifReadable(this.#packages.readDocument(data.documentDigest))
    const root = await this.#ifReadable(this.#packages.manifest(data.manifestDigest))
    return { document, root }
  }

  async #ifReadable<T>(reading: Promise<T>): Promise<T | undefined> {
    try {
      return await reading
    } catch (error) {
      if (isDamage(error)) return undefined
      throw error
    }
  }

  /** What the log says in the end: packages that are there hold what of them is there, documents hold their bytes. */
  async #holdAll(): Promise<void> {
    for (let after = 0; ;) {
      const page = await listKeptPackages(this.#registry.reader, after, PACKAGES_AT_ONCE)
      for (const row of page) await this.#holdPackage(row)
      const last = page.at(-1)
      if (last === undefined || page.length < PACKAGES_AT_ONCE) break
      after = last.id
    }
    for (const kind of documentKinds) {
      for (let after = ''; ;) {
        const page = await listDocuments(this.#registry.reader, kind, after, PACKAGES_AT_ONCE)
        await this.#registry.write('recover-documents', async (session) => {
          for (const { id, digest } of page) await hold(session, 'document', id, await namedChunk(session, digest, 0))
        })
        const last = page.at(-1)
        if (last === undefined || page.length < PACKAGES_AT_ONCE) break
        after = last.name
      }
    }
  }

  async #holdPackage(row: PackageRow): Promise<void> {
    this.#packageCount += 1
    const own = sha256Digest(row.manifest_digest)
    const { document, root } = await this.#read({ documentDigest: sha256Digest(row.document_digest), manifestDigest: own })
    if (document === undefined || root === undefined) this.#damagedPackages.add(row.uuid)
    const gone = new Set((await listChildren(this.#registry.reader, row.id)).flatMap((child) => (child.isGone ? [sha256Digest(child.digest)] : [])))
    for (const digest of [own, ...(root?.kind === 'index' ? root.children.map((child) => child.digest) : [])]) {
      if (gone.has(digest)) continue
      const manifest = digest === own ? root : await this.#ifReadable(this.#packages.manifest(digest))
      if (manifest === undefined) this.#damagedPackages.add(row.uuid)
      const chunk = await this.#registry.write('recover-holder', async (session) => {
        const id = await namedChunk(session, rawSha256(digest), 0)
        await hold(session, 'package', row.id, id)
        return id
      })
      if (manifest !== undefined) await this.#holdContent(chunk, manifest)
    }
  }

  async #holdContent(chunk: number, manifest: ParsedManifest): Promise<void> {
    if ((await findPublishedManifest(this.#registry.reader, chunk)) !== undefined) return
    // Of an index only the child with the document: as finalize.ts does it.
    const content = manifest.kind === 'index' ? manifest.children.slice(0, 1) : manifest.blobs
    const holder = await this.#registry.write('recover-manifest', (session) => insertPublishedManifest(session, chunk))
    for (let start = 0; start < content.length; start += EDGES_PER_COMMIT) {
      await this.#registry.write('recover-edges', async (session) => {
        for (const { digest, size } of content.slice(start, start + EDGES_PER_COMMIT)) {
          await hold(session, 'manifest', holder, await namedChunk(session, rawSha256(digest), size))
        }
      })
    }
  }

  /**
   * What nothing holds is garbage of unfinished work, or belongs to events that are lost: the collector's review decides, after its grace. Where a
   * manifest cannot be read nobody knows what it holds, and nothing is given up (I10).
   */
  async #queueUnheld(): Promise<void> {
    if (this.#damagedPackages.size > 0) return
    const last = await lastChunkId(this.#registry.reader)
    for (let after = 0; after < last; after += CHUNKS_PER_COMMIT) {
      await this.#registry.write('recover-reviews', (session) => queueUnheldChunks(session, after, after + CHUNKS_PER_COMMIT))
    }
  }
}

/** Only a store that was closed in good order can be known to have mirrored everything. */
function lossReasons(objects: ObjectScan, log: MirroredLog | undefined, unnamed: readonly Digest[]): readonly string[] {
  return [
    ...(log === undefined ? ['no event was mirrored'] : []),
    ...(log?.broken === undefined ? [] : [`the mirrored log breaks off after event ${log.completeTo}: ${log.broken}`]),
    ...(objects.unsealed === 0 ? [] : [`${objects.unsealed} packs were not closed by their writers; what these did last may not have been mirrored`]),
    ...(objects.damage.length === 0 ? [] : [`${objects.damage.length} places in packs or objects are damaged`]),
    ...(unnamed.length === 0 ? [] : [`${unnamed.length} manifests belong to no package of the log`]),
  ]
}

async function findStoreId(backend: Backend): Promise<string> {
  for await (const { key } of backend.list('')) {
    const match = /^([0-9a-f-]{36})\/marker$/.exec(key)
    if (match?.[1] !== undefined) return match[1]
  }
  throw new StoreMissingError('there is no marker of a store among these objects; nothing can be recovered from them')
}

async function removeDatabase(file: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(`${file}${suffix}`, { force: true })
}

/** Moves a closed database and what belongs to it, durably. */
async function moveDatabase(from: string, to: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) if (await exists(`${from}${suffix}`)) await rename(`${from}${suffix}`, `${to}${suffix}`)
  const folder = await open(dirname(to))
  await folder.sync()
  await folder.close()
}
