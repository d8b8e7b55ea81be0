/** What a run of the collector did. Sizes in bytes. */
export interface CollectionReport {
  /** Writers whose lease had run out, and open packages, uploads and kept answers that nobody touched for too long. */
  readonly reaped: { readonly writers: number; readonly packages: number; readonly uploads: number; readonly answers: number }
  /** Packs that were looked through for entries that no row names. */
  readonly settled: number
  /** Chunks that had lost a holder: those that something else holds, and those that were condemned. */
  readonly reviewed: { readonly kept: number; readonly condemned: number; readonly size: number }
  /** Packs that were rewritten, and what was moved out of them. */
  readonly rewritten: { readonly packs: number; readonly entries: number; readonly moved: number }
  /** Objects whose deletion the backend has confirmed. */
  readonly deleted: { readonly objects: number; readonly size: number }
  /** Undefined: it was not time for it. */
  readonly audit: AuditReport | undefined
  /** What could not be done, in words; nothing was deleted because of it. */
  readonly problems: readonly string[]
  /** Why the run stopped before its end, in words (I10). */
  readonly stopped: string | undefined
}

/** What is on its way out. `size` of the objects, bytes. */
export interface CollectionBacklog {
  readonly reviews: number
  readonly objects: number
  readonly size: number
}

/** What a listing of the backend found. Sizes in bytes. */
export interface AuditReport {
  readonly objects: number
  /** Objects that no row names: seen for the first time lately, or removed now. */
  readonly strays: number
  readonly removed: { readonly objects: number; readonly size: number }
  /** Packs whose dead bytes were counted anew. */
  readonly corrected: number
}

/** Where a run is. `done`: of whatever the step counts. */
export interface CollectionProgress {
  readonly step: CollectionStep
  readonly done: number
}

/** The steps in their order. */
export type CollectionStep = 'reap' | 'settle' | 'review' | 'rewrite' | 'delete' | 'audit'
