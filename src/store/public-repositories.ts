import type { RepositoryName } from '../core/name.ts'
import { isPublicRepository } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'

/** How old an answer may be, in ms: what is no longer public is still shown to followers of events for so long. */
const LIFETIME_MS = 1_000
const LARGEST = 10_000

/** Which repositories everybody may read, as of at most a second ago. Thousands who follow the log ask this of each event, and cost one read. */
export class PublicRepositories {
  readonly #reader: Session
  readonly #answers = new Map<RepositoryName, boolean>()
  /** When the oldest answer was given. */
  #since = 0

  constructor(reader: Session) {
    this.#reader = reader
  }

  /** Whether everybody may read a repository. */
  async has(name: RepositoryName): Promise<boolean> {
    const known = this.known(name)
    if (known !== undefined) return known
    const asked = performance.now()
    const answer = await isPublicRepository(this.#reader, name)
    if (this.#answers.size === 0) this.#since = asked
    if (this.#answers.size < LARGEST) this.#answers.set(name, answer)
    return answer
  }

  /** The same, if it was asked lately. */
  known(name: RepositoryName): boolean | undefined {
    if (performance.now() - this.#since > LIFETIME_MS) this.#answers.clear()
    return this.#answers.get(name)
  }
}
