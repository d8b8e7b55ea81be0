import { canonicalJson, type JsonObject } from '../core/canonical-json.ts'
import { type Digest, parseDigest, rawSha256 } from '../core/digest.ts'
import { LogCorruptError } from '../core/errors.ts'
import type { SchemaName } from '../core/metadata-schema.ts'
import type { PackageId, RepositoryName, TagName, TenantName } from '../core/name.ts'
import type { PackageDocument } from '../core/package-document.ts'
import type { RepositoryPolicy } from '../core/repository-policy.ts'
import { expiryOf, retentionOf } from '../core/retention-state.ts'
import { insertDocument } from '../registry/documents.ts'
import { savePart } from '../registry/package-parts.ts'
import { type ChildRow, findPackage, insertAlias, insertPackage, type PackageRow } from '../registry/packages.ts'
import { createRepository, findRepository, writeRepositoryPolicy } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'
import { removeTag, setTag } from '../registry/tags.ts'
import { metadataIndex } from './metadata-index.ts'
import { policyFacts, type SetPolicy } from './policy-facts.ts'
import { changeRetention } from './retention-change.ts'

/**
 * What each event means for the logical tables. Live changes and a rebuild from the log go through the same functions, so that the views are a
 * function of the log (and of the documents it names), nothing else: no clock is read here.
 */

/** Data of `repository.created`. */
export interface RepositoryCreated {
  readonly repository: RepositoryName
  readonly tenant: TenantName
  readonly createdAt: string
}

/** Data of `repository.policy-changed`: the policy as a whole. */
export interface RepositoryPolicyChanged {
  readonly repository: RepositoryName
  readonly policy: RepositoryPolicy
  readonly changedAt: string
}

/** Data of `schema.registered`. */
export interface SchemaRegistered {
  readonly schema: SchemaName
  readonly digest: Digest
  readonly size: number
  readonly registeredAt: string
}

/** Data of `package.finalized`; of `package.reused`, where `packageId` is the package that was there and `requestedId` becomes its alias. */
export interface PackageFinalized {
  readonly packageId: PackageId
  readonly requestedId: PackageId
  readonly repository: RepositoryName
  readonly runId?: string
  readonly type: string
  readonly manifestDigest: Digest
  readonly mediaType: string
  readonly documentDigest: Digest
  readonly fileCount: number
  readonly size: number
  readonly openedAt: string
  readonly finalizedAt: string
  readonly tags: readonly TagName[]
  readonly retentionClass?: string
  /** The resolved policy facts of each file set (the unnamed one is `''`), which all children of the set share. */
  readonly policy: readonly SetPolicy[]
}

/** Data of `tag.set` and `tag.removed`. */
export interface TagChanged {
  readonly repository: RepositoryName
  readonly tag: TagName
  readonly packageId?: PackageId
  readonly manifestDigest?: Digest
}

/** A manifest that holds files, as the root manifest tells of it. */
export interface FilesManifest {
  readonly digest: Digest
  readonly setKey: string
  readonly fileCount: number
  readonly size: number
}

/** Event data are JSON; the interfaces above say which. */
export function eventData(data: RepositoryCreated | RepositoryPolicyChanged | SchemaRegistered | PackageFinalized | TagChanged): JsonObject {
  // Sound: these interfaces hold strings, numbers, null and arrays of them.
  return data as unknown as JsonObject
}

/** @returns the repository's row id */
export function applyRepositoryCreated(session: Session, data: RepositoryCreated): Promise<number> {
  return createRepository(session, { tenant: data.tenant, name: data.repository, createdAt: Date.parse(data.createdAt) })
}

/** A repository has another policy from now on; what was sealed before keeps the facts that its own event carries. */
export async function applyPolicyChanged(session: Session, { repository, policy }: RepositoryPolicyChanged): Promise<void> {
  await writeRepositoryPolicy(session, await repositoryId(session, repository), encodePolicy(policy), policy.publicRead === true)
}

/** The one spelling of a policy, by which two can be compared. */
export function encodePolicy(policy: RepositoryPolicy): string {
  return canonicalJson({ ...policy })
}

/** @returns the document's row id */
export function applySchemaRegistered(session: Session, { schema, digest, registeredAt }: SchemaRegistered): Promise<number> {
  return insertDocument(session, { kind: 'schema', name: schema, digest: rawSha256(parseDigest(digest)), createdAt: Date.parse(registeredAt) })
}

/** @returns the package's row id */
export async function applyPackageFinalized(
  session: Session,
  data: PackageFinalized,
  document: PackageDocument,
  manifests: readonly FilesManifest[],
): Promise<number> {
  const repository = await repositoryId(session, data.repository)
  const retention = retentionOf([{ kind: 'sealed', at: Date.parse(data.finalizedAt), parts: policyFacts(data.policy) }])
  const packageId = await insertPackage(
    session,
    {
      uuid: data.packageId,
      repository_id: repository,
      run_id: data.runId ?? null,
      type: data.type,
      producer: document.producer ?? null,
      subject: document.subject ?? null,
      retention_class: data.retentionClass ?? null,
      manifest_digest: rawSha256(parseDigest(data.manifestDigest)),
      media_type: data.mediaType,
      document_digest: rawSha256(parseDigest(data.documentDigest)),
      file_count: data.fileCount,
      size: data.size,
      opened_at: Date.parse(data.openedAt),
      finalized_at: Date.parse(data.finalizedAt),
      mode: retention.mode,
      expires_at: expiryOf(retention) ?? null,
    },
    childRows(data.policy, manifests),
    metadataIndex(document.metadata),
  )
  for (const part of retention.parts) await savePart(session, packageId, part)
  for (const tag of data.tags) await setTag(session, repository, tag, packageId)
  return packageId
}

/** The repository held this manifest already: another id leads to it, it gets the tags, and it was taken in again. */
export async function applyPackageReused(session: Session, data: PackageFinalized): Promise<void> {
  const existing = await packageOf(session, data.packageId)
  await insertAlias(session, data.requestedId, existing.id)
  for (const tag of data.tags) await setTag(session, existing.repository_id, tag, existing.id)
  await changeRetention(session, existing.id, { kind: 'taken-in', at: Date.parse(data.finalizedAt), parts: policyFacts(data.policy) })
}

/** A tag leads to a package from now on. */
export async function applyTagSet(session: Session, data: TagChanged): Promise<void> {
  const target = await packageOf(session, data.packageId)
  await setTag(session, target.repository_id, data.tag, target.id)
}

/** @returns whether there was such a tag */
export async function applyTagRemoved(session: Session, data: TagChanged): Promise<boolean> {
  return removeTag(session, await repositoryId(session, data.repository), data.tag)
}

function childRows(policy: readonly SetPolicy[], manifests: readonly FilesManifest[]): readonly ChildRow[] {
  const known = new Set(policy.map(({ fileSets }) => fileSets))
  return manifests.map(({ digest, setKey, fileCount, size }, ordinal) => {
    if (!known.has(setKey)) throw new LogCorruptError(`a package event has no policy facts for file set '${setKey}'`)
    return { ordinal, digest: rawSha256(digest), set_key: setKey, file_count: fileCount, size }
  })
}

async function repositoryId(session: Session, name: RepositoryName): Promise<number> {
  const found = await findRepository(session, name)
  if (found === undefined) throw new LogCorruptError(`an event names repository '${name}', which no event created`)
  return found.id
}

async function packageOf(session: Session, uuid: PackageId | undefined): Promise<PackageRow> {
  const found = uuid === undefined ? undefined : await findPackage(session, uuid)
  if (found === undefined) throw new LogCorruptError(`an event names package ${String(uuid)}, which no event finalized`)
  return found
}
