import type { StoreError } from '../core/errors.ts'
import type { Backend } from '../ports/backend.ts'
import type { Clock } from '../ports/clock.ts'
import type { DataPlane } from '../ports/data-plane.ts'
import type { Registry } from '../registry/registry.ts'
import type { DraftClearance } from './draft-clearance.ts'
import type { LogMirror } from './mirror.ts'
import type { WriterSession } from './writer-session.ts'

/** What the parts of an embedded store share. */
export interface StoreContext {
  readonly storeId: string
  /** Changes when a lossy recovery starts a new log. */
  readonly logId: string
  /** Who acts, as events name them: `os:<user>` and the like. */
  readonly actor: string
  readonly registry: Registry
  readonly backend: Backend
  readonly dataPlane: DataPlane
  readonly writer: WriterSession
  readonly mirror: LogMirror
  readonly clearance: DraftClearance
  readonly clock: Clock
  /** Why nothing can be written, if so. */
  readonly readOnly: () => StoreError | undefined
}
