import { StateConflictError } from '../core/errors.ts'
import type { PackageId, RepositoryName } from '../core/name.ts'
import type { PackageRow } from '../registry/packages.ts'
import type { Draft, FinalizedPackage } from './interface.ts'
import { receiptOf } from './publish.ts'

/** What opening a run returns that was sealed before: nothing can be added, and sealing returns the receipt again. */
export class SealedDraft implements Draft {
  readonly id: PackageId
  readonly repository: RepositoryName
  readonly status = 'finalized'
  readonly reusedExisting = true
  readonly #receipt: FinalizedPackage

  /** @param reusedExisting what the receipt says: whether it is another package, or another push, than the one asked for */
  constructor(row: PackageRow, reusedExisting: boolean) {
    this.#receipt = receiptOf(row, reusedExisting)
    this.id = this.#receipt.id
    this.repository = this.#receipt.repository
  }

  put(): Promise<never> {
    return Promise.reject(this.#sealed())
  }

  // oxlint-disable-next-line require-yield -- it only throws
  async *putMany(): AsyncGenerator<never, void, undefined> {
    throw this.#sealed()
  }

  attach(): Promise<never> {
    return Promise.reject(this.#sealed())
  }

  putArchive(): Promise<never> {
    return Promise.reject(this.#sealed())
  }

  remove(): Promise<never> {
    return Promise.reject(this.#sealed())
  }

  abort(): Promise<never> {
    return Promise.reject(this.#sealed())
  }

  async finalize(): Promise<FinalizedPackage> {
    return this.#receipt
  }

  #sealed(): StateConflictError {
    return new StateConflictError(`package ${this.id} is sealed; nothing can be added to it`)
  }
}
