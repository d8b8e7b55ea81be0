import type { PackageId } from '../core/name.ts'

/** Thrown where a request names a package by an id that became an alias of another. */
export class MovedPackage extends Error {
  readonly #from: string
  readonly #to: PackageId

  constructor(from: string, to: PackageId) {
    super(`package ${from} is package ${to}`)
    this.name = 'MovedPackage'
    this.#from = from
    this.#to = to
  }

  /** The same target below the package's own id. */
  locationFor(target: string): string {
    return target.replace(this.#from, this.#to)
  }
}

/** The move, if an error is one. */
export function movedPackage(error: unknown): MovedPackage | undefined {
  return error instanceof MovedPackage ? error : undefined
}
