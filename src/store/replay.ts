import type { Digest } from '../core/digest.ts'
import type { LoggedEvent } from '../core/event.ts'
import { childFacts, type ParsedManifest } from '../core/manifest.ts'
import type { PackageDocument } from '../core/package-document.ts'
import type { Session } from '../registry/statement.ts'
import { applyRetentionEvent, retentionEvent } from './retention/retention-events.ts'
import {
  applyPackageFinalized,
  applyPackageReused,
  applyPolicyChanged,
  applyRepositoryCreated,
  applySchemaRegistered,
  applyTagRemoved,
  applyTagSet,
  type FilesManifest,
  type PackageFinalized,
  type RepositoryCreated,
  type RepositoryPolicyChanged,
  type SchemaRegistered,
  type TagChanged,
} from './views.ts'

/** What the log does not say but names: a package's document and manifests, as far as they can be read. */
export interface NamedDocuments {
  readonly document: PackageDocument | undefined
  readonly root: ParsedManifest | undefined
}

/** Reads what an event names. Called before the transaction that applies it. */
export type ReadNamed = (data: PackageFinalized) => Promise<NamedDocuments>

/** An event together with what it names. */
export interface ReplayStep {
  readonly event: LoggedEvent
  readonly named: NamedDocuments | undefined
}

/** Reads what an event names. */
export async function prepareReplay(event: LoggedEvent, read: ReadNamed): Promise<ReplayStep> {
  return { event, named: event.type === 'package.finalized' ? await read(finalized(event)) : undefined }
}

/** Applies an event to the logical tables. Types that change no view here are passed over. */
export async function replay(session: Session, { event, named }: ReplayStep): Promise<void> {
  switch (event.type) {
    case 'repository.created':
      await applyRepositoryCreated(session, repositoryCreated(event))
      return
    case 'repository.policy-changed':
      await applyPolicyChanged(session, policyChanged(event))
      return
    case 'schema.registered':
      await applySchemaRegistered(session, schemaRegistered(event))
      return
    case 'package.finalized': {
      const sealed = finalized(event)
      await applyPackageFinalized(
        session,
        sealed,
        named?.document ?? { schemaVersion: 1 },
        filesManifestsOf({ digest: sealed.manifestDigest, fileCount: sealed.fileCount, size: sealed.size }, named?.root),
      )
      return
    }
    case 'package.reused':
      await applyPackageReused(session, finalized(event))
      return
    case 'tag.set':
      await applyTagSet(session, tagChanged(event))
      return
    case 'tag.removed':
      await applyTagRemoved(session, tagChanged(event))
      break
    default: {
      const known = retentionEvent(event.type, event.data)
      if (known !== undefined) await applyRetentionEvent(session, known, event.actor)
    }
  }
}

/** The data of a package event. */
export function finalized({ data }: LoggedEvent): PackageFinalized {
  const written: unknown = data
  // Sound: the chain hash proved that these are the data we wrote, and the event's type says their shape.
  return written as PackageFinalized
}

function repositoryCreated({ data }: LoggedEvent): RepositoryCreated {
  const written: unknown = data
  // Sound: as in finalized.
  return written as RepositoryCreated
}

function policyChanged({ data }: LoggedEvent): RepositoryPolicyChanged {
  const written: unknown = data
  // Sound: as in finalized.
  return written as RepositoryPolicyChanged
}

function schemaRegistered({ data }: LoggedEvent): SchemaRegistered {
  const written: unknown = data
  // Sound: as in finalized.
  return written as SchemaRegistered
}

function tagChanged({ data }: LoggedEvent): TagChanged {
  const written: unknown = data
  // Sound: as in finalized.
  return written as TagChanged
}

/** The manifests of a package that hold files, as its root tells; of a root that cannot be read nothing is known. */
export function filesManifestsOf(own: Omit<FilesManifest, 'setKey'>, root: ParsedManifest | undefined): readonly FilesManifest[] {
  if (root === undefined) return []
  if (root.kind === 'image') return [{ ...own, setKey: '' }]
  // The first child carries the document and no files.
  return root.children
    .slice(1)
    .map((child): FilesManifest => ({ digest: child.digest, ...(childFacts(child) ?? { setKey: '', fileCount: 0, size: 0 }) }))
}

/** All manifests of a package, the root first. */
export function manifestsOf(data: PackageFinalized, root: ParsedManifest | undefined): readonly Digest[] {
  return [data.manifestDigest, ...(root?.kind === 'index' ? root.children.map((child) => child.digest) : [])]
}
