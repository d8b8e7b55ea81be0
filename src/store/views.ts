import type { JsonObject } from '../core/canonical-json.ts'
import { type Digest, parseDigest, rawSha256 } from '../core/digest.ts'
import { LogCorruptError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import type { PackageId, RepositoryName, TagName, TenantName } from '../core/name.ts'
import type { PackageDocument } from '../core/package-document.ts'
import type { PolicyFacts } from '../core/retention.ts'
import { type ChildRow, findPackage, insertAlias, insertPackage, type PackageRow } from '../registry/packages.ts'
import { createRepository, findRepository } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'
import { removeTag, setTag } from '../registry/tags.ts'
import { metadataIndex } from './metadata-index.ts'

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

interface SetPolicy {
  readonly fileSets: string
  readonly class: string | null
  readonly durationDays: number | null
  readonly mode: string
  readonly expiresAt: string | null
}

/** Data of `tag.set` and `tag.removed`. */
export interface TagChanged {
  readonly repository: RepositoryName
  readonly tag: TagName
  readonly packageId?: PackageId
}

/** A manifest that holds files, as the root manifest tells of it. */
export interface FilesManifest {
  readonly digest: Digest
  readonly setKey: string
  readonly fileCount: number
  readonly size: number
}

/** Event data are JSON; the interfaces above say which. */
export function eventData(data: RepositoryCreated | PackageFinalized | TagChanged): JsonObject {
  // Sound: these interfaces hold strings, numbers, null and arrays of them.
  return data as unknown as JsonObject
}

/** How policy facts stand in events. */
export function setPolicy(fileSets: string, facts: PolicyFacts): SetPolicy {
  return {
    fileSets,
    class: facts.retentionClass ?? null,
    durationDays: facts.durationDays ?? null,
    mode: facts.mode,
    expiresAt: facts.expiresAt === undefined ? null : formatTime(facts.expiresAt),
  }
}

/** @returns the repository's row id */
export function applyRepositoryCreated(session: Session, data: RepositoryCreated): Promise<number> {
  return createRepository(session, { tenant: data.tenant, name: data.repository, createdAt: Date.parse(data.createdAt) })
}

/** @returns the package's row id */
export async function applyPackageFinalized(
  session: Session,
  data: PackageFinalized,
  document: PackageDocument,
  manifests: readonly FilesManifest[],
): Promise<number> {
  const repository = await repositoryId(session, data.repository)
  const children = childRows(data.policy, manifests)
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
      expires_at: latestExpiry(children),
    },
    children,
    metadataIndex(document.metadata),
  )
  for (const tag of data.tags) await setTag(session, repository, tag, packageId)
  return packageId
}

/** The repository held this manifest already: another id leads to it, and it gets the tags. */
export async function applyPackageReused(session: Session, data: PackageFinalized): Promise<void> {
  const existing = await packageOf(session, data.packageId)
  await insertAlias(session, data.requestedId, existing.id)
  for (const tag of data.tags) await setTag(session, existing.repository_id, tag, existing.id)
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
  const bySet = new Map(policy.map((facts) => [facts.fileSets, facts]))
  return manifests.map(({ digest, setKey, fileCount, size }, ordinal) => {
    const facts = bySet.get(setKey)
    if (facts === undefined) throw new LogCorruptError(`a package event has no policy facts for file set '${setKey}'`)
    return {
      ordinal,
      digest: rawSha256(digest),
      set_key: setKey,
      file_count: fileCount,
      size,
      retention_class: facts.class,
      duration_days: facts.durationDays,
      mode: facts.mode,
      expires_at: facts.expiresAt === null ? null : Date.parse(facts.expiresAt),
    }
  })
}

/** The package lives as long as the part of it that lives longest. */
function latestExpiry(children: readonly ChildRow[]): number | null {
  const times = children.map((child) => child.expires_at)
  return times.reduce((latest, time) => (latest === null || time === null ? null : Math.max(latest, time)), times[0] ?? null)
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
