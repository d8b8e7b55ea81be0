/** artifact-store as a library: make or open a store, and what it speaks. */
export { createStore, openStore } from './store/open.ts'
export type { StoreOptions } from './store/open-context.ts'
export type {
  Draft,
  Events,
  FileInfo,
  Files,
  FinalizedPackage,
  FinalizePackage,
  Health,
  KnownFile,
  ManifestBytes,
  OpenPackage,
  PackageFilter,
  PackageInfo,
  Packages,
  Page,
  PageRequest,
  PutItem,
  PutOptions,
  PutOutcome,
  PutSource,
  ReadFile,
  RepositoryInfo,
  Store,
  StoreEvent,
  Tags,
  VerifiedFile,
  VerifiedPack,
} from './store/interface.ts'
export { pullTree } from './store/pull-tree.ts'
export { pushTar } from './store/push-tar.ts'
export { pushTree } from './store/push-tree.ts'
export { errorClasses, StoreError, TreeRefusedError } from './core/errors.ts'
export type { EntryProblem, ErrorCode, ErrorDetail } from './core/errors.ts'
export type { Backend, AppendBackend, BackendCapabilities, ObjectAppender, ObjectInfo, ObjectKey } from './ports/backend.ts'
export type { Clock } from './ports/clock.ts'
export type { DataPlane, DataPlaneHost } from './ports/data-plane.ts'
