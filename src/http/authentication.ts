import { createHash, timingSafeEqual } from 'node:crypto'
import { type Access, ANONYMOUS, anonymousAccess, fullAccess, grantedAccess, type RepositoryPattern, type Verb } from '../core/access.ts'
import { UnauthenticatedError } from '../core/errors.ts'

/** A token that callers may present, and what it is good for. */
export interface AcceptedToken {
  /** `token:<name>` is the actor. */
  readonly name: string
  readonly scopes: readonly Verb[]
  readonly repositories: readonly RepositoryPattern[]
  /** SHA-256 of the token; undefined while there is none. Asked at every request, so that a token can be exchanged while the server runs. */
  readonly hash: () => Uint8Array | undefined
}

/** Methods that change nothing, which is all that somebody without a token may do. */
const SAFE_METHODS: readonly (string | undefined)[] = ['GET', 'HEAD', 'OPTIONS']
/** RFC 6750, section 2.1. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

/** Tells who makes a request, by RFC 6750 bearer tokens. */
export class Authentication {
  readonly #tokens: readonly { readonly token: AcceptedToken; readonly access: Access }[]

  /** @param tokens none: nobody is asked, and everybody may do everything */
  constructor(tokens: readonly AcceptedToken[]) {
    this.#tokens = tokens.map((token) => ({
      token,
      access: grantedAccess(`token:${token.name}`, [{ verbs: token.scopes, repositories: token.repositories }]),
    }))
  }

  /** Whether callers are asked who they are. */
  get isOn(): boolean {
    return this.#tokens.length > 0
  }

  /** @throws UnauthenticatedError for a token that is not known, and for whoever wants to change something without one */
  accessOf({ method, authorization }: { readonly method?: string | undefined; readonly authorization?: string | undefined }): Access {
    if (!this.isOn) return openAccess
    if (authorization === undefined) {
      if (SAFE_METHODS.includes(method)) return anonymousAccess
      throw new UnauthenticatedError('say who you are: this needs a token (Authorization: Bearer …)')
    }
    const presented = BEARER.exec(authorization)?.[1]
    if (presented === undefined) throw new UnauthenticatedError('only bearer tokens are understood (Authorization: Bearer …)')
    const digest = createHash('sha256').update(presented).digest()
    let found: Access | undefined
    // All are compared, whichever fits, so that the time tells nothing.
    for (const { token, access } of this.#tokens) {
      const hash = token.hash()
      if (hash?.length === digest.length && timingSafeEqual(hash, digest)) found = access
    }
    if (found === undefined) throw new UnauthenticatedError('the token is not known; it may have been exchanged')
    return found
  }
}

/** Where nobody is asked who they are, everybody may do everything, but nobody is anybody. */
const openAccess: Access = fullAccess(ANONYMOUS)
