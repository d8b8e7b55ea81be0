import type { Brand } from './brand.ts'
import { utf8Length } from './bytes.ts'
import { parseDigest, type Digest } from './digest-text.ts'
import { InputInvalidError, NameInvalidError } from './errors.ts'
import { isMediaTypeName } from './media-type.ts'

/** The name packages are grouped under: an OCI repository name of at most 255 bytes. */
export type RepositoryName = Brand<string, 'RepositoryName'>
/** A movable name for a package in its repository: an OCI tag. */
export type TagName = Brand<string, 'TagName'>
/** The owner of repositories: one component of an OCI repository name. */
export type TenantName = Brand<string, 'TenantName'>
/** A UUIDv7 in lower case that names one manifest in one repository. */
export type PackageId = Brand<string, 'PackageId'>

/** Says which package is meant. */
export type Reference =
  | { readonly kind: 'id'; readonly id: PackageId }
  | { readonly kind: 'tag'; readonly repository: RepositoryName; readonly tag: TagName }
  | { readonly kind: 'digest'; readonly repository: RepositoryName; readonly digest: Digest }

/** Longest repository name in bytes; registries and clients agree on it (OCI distribution specification 1.1.1, "Pulling manifests"). */
const MAX_REPOSITORY_BYTES = 255
/** Longest run id in bytes of UTF-8. */
const MAX_RUN_ID_BYTES = 256
/** The type of a package that was given none. */
export const DEFAULT_PACKAGE_TYPE = 'application/vnd.artifact-store.package'

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const TENANT_PATTERN = new RegExp(`^${COMPONENT}$`)
const REPOSITORY_PATTERN = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const TAG_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const UUID_V7_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const TYPE_WORD_PATTERN = /^[a-z0-9][a-z0-9._+-]{0,63}$/

/** How names are spelled, as sources of regular expressions: for documents. Lengths count, too. */
export const nameSpelling: Readonly<Record<'repository' | 'tag' | 'packageId', string>> = {
  repository: REPOSITORY_PATTERN.source,
  tag: TAG_PATTERN.source,
  packageId: UUID_V7_PATTERN.source,
}

/** The tenant of repositories whose name has one component. */
const DEFAULT_TENANT: TenantName = parseTenantName('default')

/** Reads a repository name (OCI distribution specification 1.1.1, `<name>`). @throws NameInvalidError */
export function parseRepositoryName(text: string): RepositoryName {
  if (text.length > MAX_REPOSITORY_BYTES) throw new NameInvalidError(`repository name is longer than ${MAX_REPOSITORY_BYTES} bytes`)
  if (isRepositoryName(text)) return text
  throw new NameInvalidError(
    `not a repository name: ${quoted(text)} (lower-case letters and digits, separated by ".", "_", "__" or "-", in components separated by "/")`,
  )
}

/** Whether a text can be the name of a repository. */
export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= MAX_REPOSITORY_BYTES && REPOSITORY_PATTERN.test(text)
}

/** Reads a tag (OCI distribution specification 1.1.1, `<reference>` as a tag). @throws NameInvalidError */
export function parseTagName(text: string): TagName {
  if (isTagName(text)) return text
  throw new NameInvalidError(`not a tag: ${quoted(text)} (letters, digits, "_", "." and "-", at most 128, not starting with "." or "-")`)
}

/** Whether a text can be a tag; a run id that can becomes one. */
export function isTagName(text: string): text is TagName {
  return TAG_PATTERN.test(text)
}

/** Who owns a repository: its first component, or `default` if that is all it has. */
export function tenantOf(repository: RepositoryName): TenantName {
  const slash = repository.indexOf('/')
  return slash === -1 ? DEFAULT_TENANT : parseTenantName(repository.slice(0, slash))
}

/** Reads the name of a tenant. @throws NameInvalidError when it could not be the first component of a repository name */
export function parseTenantName(text: string): TenantName {
  if (isTenantName(text)) return text
  throw new NameInvalidError(`not a tenant: ${quoted(text)}`)
}

function isTenantName(text: string): text is TenantName {
  return text.length <= MAX_REPOSITORY_BYTES && TENANT_PATTERN.test(text)
}

/** Reads a package id, in upper or lower case. @throws NameInvalidError when it is no UUIDv7 */
export function parsePackageId(text: string): PackageId {
  const id = text.toLowerCase()
  if (isPackageId(id)) return id
  throw new NameInvalidError(`not a package id: ${quoted(text)} (expected a UUIDv7)`)
}

function isPackageId(text: string): text is PackageId {
  return UUID_V7_PATTERN.test(text)
}

/**
 * Reads `<package id>`, `<repository>:<tag>` or `<repository>@<digest>`. A text that is a UUIDv7 is an id.
 * @throws NameInvalidError; DigestInvalidError when what follows the `@` is no digest
 */
export function parseReference(text: string): Reference {
  const lower = text.toLowerCase()
  if (isPackageId(lower)) return { kind: 'id', id: lower }
  const at = text.indexOf('@')
  if (at !== -1) return { kind: 'digest', repository: parseRepositoryName(text.slice(0, at)), digest: parseDigest(text.slice(at + 1)) }
  const colon = text.indexOf(':')
  if (colon !== -1) return { kind: 'tag', repository: parseRepositoryName(text.slice(0, colon)), tag: parseTagName(text.slice(colon + 1)) }
  throw new NameInvalidError(`not a reference: ${quoted(text)} (expected a package id, name:tag or name@sha256:…)`)
}

/** Reads the producer's own name of a run: 1 to 256 bytes, any characters but NUL (which not every database keeps). @throws InputInvalidError */
export function parseRunId(text: string): string {
  if (text === '') throw new InputInvalidError('run id is empty')
  if (!text.isWellFormed() || text.includes('\0')) throw new InputInvalidError('run id holds a NUL character or a lone surrogate')
  if (utf8Length(text) > MAX_RUN_ID_BYTES) throw new InputInvalidError(`run id is longer than ${MAX_RUN_ID_BYTES} bytes`)
  return text
}

/**
 * Reads a package type: an RFC 6838 media type without parameters, lower-cased; a bare word `w` means `application/vnd.artifact-store.w`.
 * @throws InputInvalidError
 */
export function packageType(text: string): string {
  const type = text.toLowerCase()
  if (TYPE_WORD_PATTERN.test(type)) return `application/vnd.artifact-store.${type}`
  if (isMediaTypeName(type)) return type
  throw new InputInvalidError(`not a package type: ${quoted(text)} (expected a word or a media type such as application/vnd.example.report)`)
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 300))
}
