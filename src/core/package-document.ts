import { Buffer } from 'node:buffer'
import { canonicalJson, encodeCanonical, isJsonObject, parseJson, type JsonObject, type JsonValue } from './canonical-json.ts'
import { DocumentInvalidError, InputInvalidError, LimitExceededError, StoreError, TreeRefusedError, type EntryProblem } from './errors.ts'
import { normaliseFileSets, type FileSetContent, type FileSetRule } from './file-set.ts'
import { optional, readArray, readBoolean, readClosed, readObject, readString, readStringMap } from './json-shape.ts'
import { parseRunId } from './name.ts'
import { comparePaths, displayPath, parsePath, PathConflicts, type FilePath } from './path.ts'
import { checkSymlink, symlinkProblems, type SymlinkEntry } from './symlink.ts'

/** A source that went into a run. */
export interface SourceRevision {
  /** Where the source lives, as the producer writes it: usually a URL. */
  readonly repository: string
  readonly commit?: string
  /** Branch or tag. */
  readonly ref?: string
  /** Folder in the repository. */
  readonly path?: string
  /** Whether there were changes that no commit has. */
  readonly dirty?: boolean
}

/** Where the files of a package come from. */
export interface Provenance {
  readonly sources?: readonly SourceRevision[]
  readonly environment?: Readonly<Record<string, string>>
  readonly tool?: { readonly name: string; readonly version?: string }
}

/** A typed link from a package to something elsewhere. `url` is an absolute URI. */
export interface PackageLink {
  readonly rel: string
  readonly url: string
}

/** What a caller says about a package; {@link buildPackageDocument} checks and orders it. Absent and empty mean the same. */
export interface PackageDocumentInput {
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly provenance?: Provenance
  readonly metadata?: JsonObject
  readonly metadataSchema?: string
  readonly links?: readonly PackageLink[]
  readonly fileSets?: readonly FileSetRule[]
  readonly symlinks?: readonly { readonly path: string; readonly target: string }[]
  /** Directories that hold nothing. */
  readonly directories?: readonly string[]
}

/** The content of a package beside its files, in the one order and spelling that enters its digest. */
export interface PackageDocument extends Omit<PackageDocumentInput, 'fileSets' | 'symlinks' | 'directories'> {
  readonly schemaVersion: 1
  readonly fileSets?: readonly FileSetContent[]
  readonly symlinks?: readonly SymlinkEntry[]
  readonly directories?: readonly FilePath[]
}

/** Largest package document, bytes of canonical JSON: what registries accept as a config. */
export const MAX_PACKAGE_DOCUMENT_BYTES = 4_194_304
/** Longest short text (producer, subject, names, revisions), bytes of UTF-8. */
const MAX_TEXT_BYTES = 1024
/** Longest URL of a link, bytes. */
const MAX_URL_BYTES = 4096

const URI_PATTERN = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s\p{Cc}]+$/u

/**
 * Checks what a caller says about a package and brings it into its one form: lists sorted and without doubles, what is empty left out, classes of
 * file sets left out (they are policy).
 * @throws InputInvalidError; TreeRefusedError with all links and directories that cannot be kept
 */
export function buildPackageDocument(input: PackageDocumentInput): PackageDocument {
  const { symlinks, directories } = checkedEntries(input)
  return compact<PackageDocument>({
    schemaVersion: 1,
    producer: text(input.producer, 'producer'),
    subject: text(input.subject, 'subject'),
    runId: present(input.runId, parseRunId),
    provenance: present(input.provenance, builtProvenance),
    metadata: input.metadata,
    metadataSchema: text(input.metadataSchema, 'metadataSchema'),
    links: present(input.links, (links) => distinct(links.map(builtLink))),
    fileSets: present(input.fileSets, normaliseFileSets),
    symlinks,
    directories,
  })
}

/** Writes a document as the `config` of a package. @throws LimitExceededError beyond {@link MAX_PACKAGE_DOCUMENT_BYTES} */
export function encodePackageDocument(document: PackageDocument): Uint8Array {
  const bytes = encodeCanonical(isJsonObject(document) ? document : {})
  if (bytes.byteLength <= MAX_PACKAGE_DOCUMENT_BYTES) return bytes
  throw new LimitExceededError(
    `the package document would take ${bytes.byteLength} bytes; at most ${MAX_PACKAGE_DOCUMENT_BYTES} are allowed (put large metadata into a file)`,
  )
}

/**
 * Reads a package document. Exactly the bytes that {@link encodePackageDocument} writes are accepted: closed, canonical, in order.
 * @throws DocumentInvalidError
 */
export function parsePackageDocument(bytes: Uint8Array): PackageDocument {
  const value = parseJson(bytes, { maxBytes: MAX_PACKAGE_DOCUMENT_BYTES })
  const input = readInput(value)
  let document: PackageDocument
  try {
    document = buildPackageDocument(input)
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause
    throw new DocumentInvalidError(`package document: ${cause.message}`, { cause, detail: cause.detail })
  }
  if (Buffer.compare(encodePackageDocument(document), bytes) === 0) return document
  throw new DocumentInvalidError('package document is not in its canonical form (sorted lists without doubles, nothing empty, RFC 8785)')
}

function readInput(value: JsonValue): PackageDocumentInput {
  const document = readClosed(value, 'package document', [
    'directories',
    'fileSets',
    'links',
    'metadata',
    'metadataSchema',
    'producer',
    'provenance',
    'runId',
    'schemaVersion',
    'subject',
    'symlinks',
  ])
  if (document['schemaVersion'] !== 1) throw new DocumentInvalidError('schemaVersion must be 1')
  return compact<PackageDocumentInput>({
    producer: optional(document['producer'], 'producer', readString),
    subject: optional(document['subject'], 'subject', readString),
    runId: optional(document['runId'], 'runId', readString),
    provenance: optional(document['provenance'], 'provenance', readProvenance),
    metadata: optional(document['metadata'], 'metadata', readObject),
    metadataSchema: optional(document['metadataSchema'], 'metadataSchema', readString),
    links: optional(document['links'], 'links', (list, where) => readArray(list, where, readLink)),
    fileSets: optional(document['fileSets'], 'fileSets', (list, where) => readArray(list, where, readFileSet)),
    symlinks: optional(document['symlinks'], 'symlinks', (list, where) => readArray(list, where, readSymlink)),
    directories: optional(document['directories'], 'directories', (list, where) => readArray(list, where, readString)),
  })
}

function readProvenance(value: JsonValue | undefined, where: string): Provenance {
  const provenance = readClosed(value, where, ['environment', 'sources', 'tool'])
  return compact<Provenance>({
    sources: optional(provenance['sources'], `${where}.sources`, (list, place) => readArray(list, place, readSource)),
    environment: optional(provenance['environment'], `${where}.environment`, readStringMap),
    tool: optional(provenance['tool'], `${where}.tool`, readTool),
  })
}

function readSource(value: JsonValue | undefined, where: string): SourceRevision {
  const source = readClosed(value, where, ['commit', 'dirty', 'path', 'ref', 'repository'])
  return compact<SourceRevision>({
    repository: readString(source['repository'], `${where}.repository`),
    commit: optional(source['commit'], `${where}.commit`, readString),
    ref: optional(source['ref'], `${where}.ref`, readString),
    path: optional(source['path'], `${where}.path`, readString),
    dirty: optional(source['dirty'], `${where}.dirty`, readBoolean),
  })
}

function readTool(value: JsonValue | undefined, where: string): NonNullable<Provenance['tool']> {
  const tool = readClosed(value, where, ['name', 'version'])
  return compact<NonNullable<Provenance['tool']>>({
    name: readString(tool['name'], `${where}.name`),
    version: optional(tool['version'], `${where}.version`, readString),
  })
}

function readLink(value: JsonValue | undefined, where: string): PackageLink {
  const link = readClosed(value, where, ['rel', 'url'])
  return { rel: readString(link['rel'], `${where}.rel`), url: readString(link['url'], `${where}.url`) }
}

function readFileSet(value: JsonValue | undefined, where: string): FileSetContent {
  const rule = readClosed(value, where, ['match', 'name'])
  return { name: readString(rule['name'], `${where}.name`), match: readArray(rule['match'], `${where}.match`, readString) }
}

function readSymlink(value: JsonValue | undefined, where: string): { path: string; target: string } {
  const link = readClosed(value, where, ['path', 'target'])
  return { path: readString(link['path'], `${where}.path`), target: readString(link['target'], `${where}.target`) }
}

function builtProvenance({ sources, environment, tool }: Provenance): Provenance {
  return compact<Provenance>({
    sources: present(sources, (list) => distinct(list.map(builtSource))),
    environment,
    tool: present(tool, ({ name, version }) =>
      compact<NonNullable<Provenance['tool']>>({ name: text(name, 'tool name'), version: text(version, 'tool version') }),
    ),
  })
}

function builtSource({ repository, commit, ref, path, dirty }: SourceRevision): SourceRevision {
  return compact<SourceRevision>({
    repository: text(repository, 'source repository'),
    commit: text(commit, 'source commit'),
    ref: text(ref, 'source ref'),
    path: text(path, 'source path'),
    dirty,
  })
}

function builtLink({ rel, url }: PackageLink): PackageLink {
  if (Buffer.byteLength(url) > MAX_URL_BYTES || !URI_PATTERN.test(url)) {
    throw new InputInvalidError(`link "${displayPath(rel.slice(0, 100))}": not an absolute URI of at most ${MAX_URL_BYTES} bytes`)
  }
  return { rel: text(rel, 'link relation'), url }
}

/** Links and directories, sorted; all that cannot be kept are named at once. */
function checkedEntries(input: PackageDocumentInput): { symlinks: readonly SymlinkEntry[]; directories: readonly FilePath[] } {
  const problems: EntryProblem[] = []
  const accepted = (path: string, reasonOf: (path: FilePath) => string | undefined): FilePath | undefined => {
    try {
      const parsed = parsePath(path)
      const reason = reasonOf(parsed)
      if (reason === undefined) return parsed
      problems.push({ path: displayPath(path), reason })
    } catch (error) {
      problems.push({ path: displayPath(path), reason: error instanceof Error ? error.message : String(error) })
    }
    return undefined
  }
  const symlinks = (input.symlinks ?? []).flatMap(({ path, target }) => {
    const parsed = accepted(path, (valid) => checkSymlink(valid, target))
    return parsed === undefined ? [] : [{ path: parsed, target }]
  })
  const directories = (input.directories ?? []).flatMap((path) => accepted(path, () => undefined) ?? [])
  symlinks.sort((left, right) => comparePaths(left.path, right.path))
  directories.sort(comparePaths)
  problems.push(...symlinkProblems(symlinks), ...conflicts(symlinks, directories))
  if (problems.length > 0) throw new TreeRefusedError(`${problems.length} links or directories cannot be kept`, problems)
  return { symlinks, directories }
}

function conflicts(symlinks: readonly SymlinkEntry[], directories: readonly FilePath[]): EntryProblem[] {
  const found = new PathConflicts()
  const entries = [
    ...symlinks.map(({ path }) => ({ path, kind: 'symlink' as const })),
    ...directories.map((path) => ({ path, kind: 'directory' as const })),
  ]
  for (const { path, kind } of entries.toSorted((left, right) => comparePaths(left.path, right.path))) found.add(path, kind)
  const empty = new Set(found.emptyDirectories())
  return [
    ...found.problems(),
    ...directories
      .filter((path) => !empty.has(path))
      .map((path) => ({ path: displayPath(path), reason: 'is listed as an empty directory and is not empty' })),
  ]
}

function text(value: string, what: string): string
function text(value: string | undefined, what: string): string | undefined
function text(value: string | undefined, what: string): string | undefined {
  if (value === undefined) return undefined
  if (value === '') throw new InputInvalidError(`${what} is empty (leave it out)`)
  if (!value.isWellFormed() || value.includes('\0')) throw new InputInvalidError(`${what} holds a NUL character or a lone surrogate`)
  if (Buffer.byteLength(value) > MAX_TEXT_BYTES) throw new InputInvalidError(`${what} is longer than ${MAX_TEXT_BYTES} bytes`)
  return value
}

function present<T, R>(value: T | undefined, build: (value: T) => R): R | undefined {
  return value === undefined ? undefined : build(value)
}

/** Sorted by canonical JSON, doubles removed. */
function distinct<T extends PackageLink | SourceRevision>(values: readonly T[]): readonly T[] {
  const byText = new Map(values.map((value) => [canonicalJson({ ...value }), value]))
  return [...byText.keys()].toSorted(comparePaths).flatMap((key) => byText.get(key) ?? [])
}

type Loose<T> = { readonly [Key in keyof T]: T[Key] | undefined }

/** Leaves out members that are undefined or empty. Mandatory members of `T` are never empty here: {@link text} has refused that. */
function compact<T extends object>(members: Loose<T>): T
function compact(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => !isEmpty(value)))
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
}
