import type { Access } from '../core/access.ts'
import type { StoreError } from '../core/errors.ts'
import type { Backend } from '../ports/backend.ts'
import type { DataPlane } from '../ports/data-plane.ts'
import type { Registry } from '../registry/registry.ts'
import type { DraftClearance } from './draft-clearance.ts'
import type { EventHub } from './event-hub.ts'
import type { ManifestCache } from './manifest-cache.ts'
import type { LogMirror } from './mirror.ts'
import type { SchemaThread } from './schema-thread.ts'
import type { UploadWork } from './upload-work.ts'
import type { TrustedClock } from './trusted-clock.ts'
import type { WriterSession } from './writer-session.ts'

/** What the parts of an embedded store share. */
export interface StoreContext {
  readonly storeId: string
  /** Changes when a lossy recovery starts a new log. */
  readonly logId: string
  /** Who acts, as events name them: `os:<user>` and the like. */
  readonly actor: string
  /** What they may do; asked in `authorization.ts` alone. */
  readonly access: Access
  readonly registry: Registry
  readonly backend: Backend
  readonly dataPlane: DataPlane
  readonly writer: WriterSession
  readonly mirror: LogMirror
  readonly eventHub: EventHub
  readonly clearance: DraftClearance
  /** For temporary files. */
  readonly spoolFolder: string
  readonly manifests: ManifestCache
  readonly uploadWork: UploadWork
  readonly schemaThread: SchemaThread
  readonly clock: TrustedClock
  /** Why nothing can be written, if so. */
  readonly readOnly: () => StoreError | undefined
}
