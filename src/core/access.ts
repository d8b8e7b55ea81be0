import type { Brand } from './brand.ts'
import { InputInvalidError } from './errors.ts'
import { isRepositoryName, type RepositoryName } from './name.ts'

/**
 * What can be done. `write`: open, fill, seal and tag packages, upload; `delete`, `hold`, `retention`: as their names say; `admin`: policies of
 * repositories and, over the whole store, schemas, verification of everything and collection.
 */
export type Verb = 'read' | 'write' | 'delete' | 'hold' | 'retention' | 'admin'

/** All verbs. */
export const verbs: readonly Verb[] = ['read', 'write', 'delete', 'hold', 'retention', 'admin']

/** Which repositories: an exact name, `prefix/**` for all below a name (but not the name itself, which may be another tenant's), or `**` for all. */
export type RepositoryPattern = Brand<string, 'RepositoryPattern'>

/** Who acts, and what they may do. */
export interface Access {
  /** As events name them: `os:<user>`, `token:<name>`, `anonymous`. */
  readonly actor: string
  /** Whether the caller may do this in a repository; without one: over the store as a whole. Public reading is not known here. */
  may(verb: Verb, repository?: RepositoryName): boolean
  /** What the caller may read, for searches. */
  readonly readable: 'all' | readonly RepositoryPattern[]
}

/** Some verbs in some repositories. */
export interface Grant {
  readonly verbs: readonly Verb[]
  readonly repositories: readonly RepositoryPattern[]
}

/** Who nobody is, as events name them. */
export const ANONYMOUS = 'anonymous'

const EVERYTHING = '**'
const BELOW = '/**'

/** Reads a pattern of repositories. @throws InputInvalidError */
export function parseRepositoryPattern(text: string): RepositoryPattern {
  if (isRepositoryPattern(text)) return text
  throw new InputInvalidError(`not a pattern of repositories: ${JSON.stringify(text.slice(0, 300))} (expected a name, prefix/**, or ** for all)`)
}

function isRepositoryPattern(text: string): text is RepositoryPattern {
  return text === EVERYTHING || isRepositoryName(text.endsWith(BELOW) ? text.slice(0, -BELOW.length) : text)
}

/** What a pattern says: all repositories, one, or those below a name. */
export function patternScope(
  pattern: RepositoryPattern,
): { readonly kind: 'all' } | { readonly kind: 'exact' | 'below'; readonly name: RepositoryName } {
  if (pattern === EVERYTHING) return { kind: 'all' }
  // Sound: parseRepositoryPattern saw a name here.
  if (pattern.endsWith(BELOW)) return { kind: 'below', name: pattern.slice(0, -BELOW.length) as RepositoryName }
  // Sound: as above.
  return { kind: 'exact', name: pattern as string as RepositoryName }
}

/** Whether a pattern names a repository. */
export function matchesRepository(pattern: RepositoryPattern, repository: RepositoryName): boolean {
  const scope = patternScope(pattern)
  if (scope.kind === 'all') return true
  return scope.kind === 'exact' ? repository === scope.name : repository.startsWith(`${scope.name}/`)
}

/** Everything, everywhere: a store that is used on this machine. */
export function fullAccess(actor: string): Access {
  return { actor, may: () => true, readable: 'all' }
}

/** Just what these grants say. */
export function grantedAccess(actor: string, grants: readonly Grant[]): Access {
  const reading = grants.filter((grant) => grant.verbs.includes('read')).flatMap((grant) => grant.repositories)
  return {
    actor,
    may: (verb, repository) =>
      grants.some(
        (grant) =>
          grant.verbs.includes(verb) &&
          grant.repositories.some((pattern) => (repository === undefined ? pattern === EVERYTHING : matchesRepository(pattern, repository))),
      ),
    readable: reading.some((pattern) => pattern === EVERYTHING) ? 'all' : [...new Set(reading)],
  }
}

/** Somebody who did not say who they are: what is public, and nothing else. */
export const anonymousAccess: Access = grantedAccess(ANONYMOUS, [])
