import { type Digest, rawSha256, sha256Digest } from '../core/digest.ts'
import { LeaseLostError, RunConflictError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import type { BuiltManifest } from '../core/manifest.ts'
import { isTagName, type TagName, tenantOf } from '../core/name.ts'
import type { PackageDocument } from '../core/package-document.ts'
import { parseRepositoryPolicy } from '../core/repository-policy.ts'
import { type PolicyContext, resolvePolicy } from '../core/retention.ts'
import { uuidv7 } from '../core/uuid.ts'
import { type DraftRow, isSealedBy, markDraftEnded } from '../registry/drafts.ts'
import { hold } from '../registry/holders.ts'
import { createUnpublished, findPublishedManifest, publishManifest } from '../registry/manifests.ts'
import { findPackage, findPackageByManifest, findPackageByRun, type PackageRow } from '../registry/packages.ts'
import { readRepositoryPolicy } from '../registry/repositories.ts'
import { listRetentionClasses } from '../registry/retention-classes.ts'
import type { Session } from '../registry/statement.ts'
import { findTag } from '../registry/tags.ts'
import type { StoreContext } from './context.ts'
import type { FinalizedPackage } from './interface.ts'
import type { OpenRequest } from './open-request.ts'
import { setPolicy } from './policy-facts.ts'
import { immutableTag } from './tags.ts'
import { assertNotDisposed } from './tombstone.ts'
import { applyPackageFinalized, applyPackageReused, eventData, type PackageFinalized } from './views.ts'

/** A manifest that is stored. */
export interface SealedManifest {
  readonly manifest: BuiltManifest
  /** Row of its bytes. */
  readonly chunk: number
  /** Its row as a holder, if some of its edges are filled. */
  readonly id: number | undefined
  /** A published manifest with the same bytes is used instead. */
  readonly adopted: boolean
  /** What it does not hold yet. */
  readonly edges: readonly number[]
}

/** A draft and the attempt at sealing it. */
export type SealingDraft = DraftRow & { readonly sealer: string }

/** The fence. @throws LeaseLostError when the draft was given up, opened again, or is being sealed by a later call */
export async function assertSealing(session: Session, draft: SealingDraft): Promise<void> {
  if (await isSealedBy(session, draft.id, draft.sealer)) return
  throw new LeaseLostError(`package ${draft.uuid} was given up, or is being sealed by another call; ask for its state`)
}

/**
 * The one transaction that makes a package visible: fence, manifests, package, tags, event, end of the draft. If the repository holds the same
 * manifest already, that package is returned, tags are added to it, and the draft's id becomes its alias.
 */
export async function publishPackage(
  context: StoreContext,
  draft: SealingDraft,
  request: OpenRequest,
  document: PackageDocument,
  sealed: readonly SealedManifest[],
): Promise<FinalizedPackage> {
  const root = sealed.at(-1)
  if (root === undefined) throw new TypeError('a package has no manifest')
  return context.registry.write('publish', async (session) => {
    await assertSealing(session, draft)
    await publishManifests(session, draft, sealed)
    const existing = await findPackageByManifest(session, draft.repository_id, rawSha256(root.manifest.digest))
    if (existing === undefined) await assertRunIsFree(session, draft, request)
    const policy = parseRepositoryPolicy(await readRepositoryPolicy(session, draft.repository_id))
    if (policy.immutableTags === true) await assertTagsAreFree(session, draft, request.tags, existing?.id)
    const now = context.clock.now()
    const rules = { classes: await listRetentionClasses(session), ...policy, cutoff: now }
    const { retentionClass } = resolvePolicy(ownClass(request), rules)
    const data: PackageFinalized = {
      packageId: existing?.uuid ?? draft.uuid,
      requestedId: draft.uuid,
      repository: request.repository,
      type: request.type,
      manifestDigest: root.manifest.digest,
      mediaType: root.manifest.mediaType,
      documentDigest: documentDigestOf(sealed),
      fileCount: root.manifest.fileCount,
      size: root.manifest.size,
      openedAt: formatTime(draft.created_at),
      finalizedAt: formatTime(now),
      tags: await tagsToPlace(session, draft, request),
      policy: policyOf(sealed, request, rules),
      ...(request.runId === undefined ? {} : { runId: request.runId }),
      ...(retentionClass === undefined ? {} : { retentionClass }),
    }
    session.emit({
      id: uuidv7(now),
      type: existing === undefined ? 'package.finalized' : 'package.reused',
      tenant: tenantOf(request.repository),
      resource: `packages/${data.packageId}`,
      actor: context.actor,
      data: eventData(data),
    })
    if (existing === undefined) {
      const packageId = await applyPackageFinalized(session, data, document, filesManifests(sealed))
      for (const { chunk } of sealed) await hold(session, 'package', packageId, chunk)
    } else {
      await applyPackageReused(session, data)
      // File sets that had expired are there again.
      for (const { chunk } of sealed) await hold(session, 'package', existing.id, chunk)
    }
    await markDraftEnded(session, draft.id)
    const row = await findPackage(session, data.packageId)
    if (row === undefined) throw new TypeError('a package vanished inside its own transaction')
    return receiptOf(row, existing !== undefined)
  })
}

/** What sealing answers. */
export function receiptOf(row: PackageRow, reusedExisting: boolean): FinalizedPackage {
  return {
    id: row.uuid,
    repository: row.repository,
    manifestDigest: sha256Digest(row.manifest_digest),
    fileCount: row.file_count,
    size: row.size,
    reusedExisting,
  }
}

async function publishManifests(session: Session, draft: SealingDraft, sealed: readonly SealedManifest[]): Promise<void> {
  for (const { id, chunk, adopted, edges } of sealed) {
    // Another package may have published the same manifest meanwhile: it is adopted, and what this draft filled goes when the draft is cleared.
    if ((await findPublishedManifest(session, chunk)) !== undefined) continue
    if (adopted) throw goneMeanwhile(draft)
    const holder = id ?? (await createUnpublished(session, chunk, draft.id))
    for (const target of edges) await hold(session, 'manifest', holder, target)
    if (!(await publishManifest(session, holder, draft.id))) throw goneMeanwhile(draft)
  }
}

function goneMeanwhile(draft: SealingDraft): LeaseLostError {
  return new LeaseLostError(`a manifest of package ${draft.uuid} has gone meanwhile; finalize again`)
}

async function assertRunIsFree(session: Session, draft: DraftRow, request: OpenRequest): Promise<void> {
  if (request.runId === undefined) return
  const other = await findPackageByRun(session, draft.repository_id, request.runId)
  if (other === undefined) return
  assertNotDisposed(other)
  throw new RunConflictError(`run '${request.runId}' of ${request.repository} is package ${other.uuid} already, with other content`, {
    detail: { packageId: other.uuid, manifestDigest: sha256Digest(other.manifest_digest) },
  })
}

/** The document is the config of the only manifest, or of the first child. */
function documentDigestOf(sealed: readonly SealedManifest[]): Digest {
  const config = sealed[0]?.manifest.layers[0]
  if (config === undefined) throw new TypeError('a package has no manifest')
  return config
}

function filesManifests(sealed: readonly SealedManifest[]): readonly BuiltManifest[] {
  return sealed.map(({ manifest }) => manifest).filter(({ role }) => role === 'package' || role === 'files')
}

/** The facts that hold from now on, whatever becomes of the classes: one entry a file set, since its children share them. */
function policyOf(sealed: readonly SealedManifest[], request: OpenRequest, rules: PolicyContext): PackageFinalized['policy'] {
  const classOf = new Map(request.fileSets.map((rule) => [rule.name, rule.class]))
  const keys = new Set(filesManifests(sealed).map(({ setKey }) => setKey))
  // Without files there is the package itself.
  return [...(keys.size === 0 ? [''] : keys)].map((setKey) => {
    const named = setKey.split(',').flatMap((name) => classOf.get(name) ?? [])
    return setPolicy(setKey, resolvePolicy(named.length > 0 ? named : ownClass(request), rules))
  })
}

function ownClass({ retentionClass }: OpenRequest): readonly string[] {
  return retentionClass === undefined ? [] : [retentionClass]
}

/** @throws StateConflictError when a tag that is set would have to move; `target`: the package that is there already, if so */
async function assertTagsAreFree(session: Session, draft: DraftRow, tags: readonly TagName[], target: number | undefined): Promise<void> {
  for (const tag of tags) {
    const current = await findTag(session, draft.repository_id, tag)
    if (current !== undefined && current !== target) throw immutableTag(draft.repository, tag)
  }
}

/** Explicit tags move; the run id becomes a tag only where that is valid and free. */
async function tagsToPlace(session: Session, draft: DraftRow, request: OpenRequest): Promise<readonly TagName[]> {
  const { runId, tags } = request
  const isFree = runId !== undefined && isTagName(runId) && (await findTag(session, draft.repository_id, runId)) === undefined
  return isFree && !tags.some((tag) => tag === runId) ? [...tags, runId] : tags
}
