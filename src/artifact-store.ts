/** artifact-store as a library: make or open a store, and what it speaks. */
export { createStore, openStore } from './store/open.ts'
export type { StoreOptions } from './store/open-context.ts'
export type {
  ArchiveFormat,
  ArchiveReport,
  ArchiveRequest,
  Draft,
  FileInfo,
  Files,
  FinalizedPackage,
  FinalizePackage,
  Health,
  KnownFile,
  ManifestBytes,
  MetadataSchema,
  MetadataSchemas,
  OpenPackage,
  PackageFilter,
  PackageInfo,
  Packages,
  Page,
  PageRequest,
  PutArchiveOptions,
  PutItem,
  PutOptions,
  PutOutcome,
  PutSource,
  ReadFile,
  Repositories,
  RepositoryInfo,
  Store,
  TagInfo,
  Tags,
  VerifiedFile,
  VerifiedPack,
} from './store/interface.ts'
export type { Events, StoreEvent } from './store/event-interface.ts'
export { pullTree } from './store/pull-tree.ts'
export { pushTree } from './store/push-tree.ts'
export { errorClasses, StoreError, TreeRefusedError } from './core/errors.ts'
export type { RepositoryPolicy } from './core/repository-policy.ts'
export type { EntryProblem, ErrorCode, ErrorDetail } from './core/errors.ts'
export type { Backend, AppendBackend, BackendCapabilities, ObjectAppender, ObjectInfo, ObjectKey } from './ports/backend.ts'
export type { Clock } from './ports/clock.ts'
export type { DataPlane, DataPlaneHost } from './ports/data-plane.ts'
