import { Type, type TUnsafe } from 'typebox'
import type { FileSetContent, FileSetRule } from '../../core/file-set.ts'
import type { PackageDocument, PackageLink, Provenance, SourceRevision } from '../../core/package-document.ts'
import type { SymlinkEntry } from '../../core/symlink.ts'
import type { FinalizedPackage, FinalizePackage, OpenPackage, PackageInfo } from '../../store/interface.ts'
import { closed, count, freeObject, oneOf, text, time } from './closed.ts'
import { digest, filePath, packageId, repositoryName, tagName } from './name-schema.ts'
import { pageMembers } from './page-schema.ts'

const fileSetName = text('Name of the file set.', 255)
const globs = Type.Array(text('Glob.', 4_096), { maxItems: 1_000 })
const fileSetRule: TUnsafe<FileSetRule> = closed<FileSetRule>('FileSetRule')({
  name: fileSetName,
  match: globs,
  class: Type.Optional(text('Retention class of the set.', 128)),
})
const link: TUnsafe<PackageLink> = closed<PackageLink>('PackageLink')({ rel: text('Relation.'), url: text('Absolute URI.', 4_096) })
const source: TUnsafe<SourceRevision> = closed<SourceRevision>('SourceRevision')({
  repository: text('Where the source lives.', 4_096),
  commit: Type.Optional(text('Commit.')),
  ref: Type.Optional(text('Branch or tag.')),
  path: Type.Optional(text('Folder in the repository.', 4_096)),
  dirty: Type.Optional(Type.Boolean({ description: 'Whether there were changes that no commit has.' })),
})
const tool = closed<NonNullable<Provenance['tool']>>()({ name: text('Name.'), version: Type.Optional(text('Version.')) })
const provenance: TUnsafe<Provenance> = closed<Provenance>('Provenance')({
  sources: Type.Optional(Type.Array(source, { maxItems: 10_000 })),
  environment: Type.Optional(Type.Unsafe<Readonly<Record<string, string>>>({ type: 'object', additionalProperties: { type: 'string' } })),
  tool: Type.Optional(tool),
})

const content = {
  metadata: Type.Optional(freeObject('Metadata of the producer; part of the package.')),
  provenance: Type.Optional(provenance),
  links: Type.Optional(Type.Array(link, { maxItems: 10_000 })),
}

const facts = {
  producer: Type.Optional(text('Program or service that made the files.')),
  subject: Type.Optional(text('What the package is about.')),
  runId: Type.Optional(text("The producer's own name of the run, unique in the repository for ever.", 256)),
  metadataSchema: Type.Optional(text('Registered schema that the metadata fits.', 255)),
}

/** Body of `POST /packages`. */
export const openPackage: TUnsafe<OpenPackage> = closed<OpenPackage>('OpenPackage')({
  ...content,
  ...facts,
  repository: repositoryName,
  type: Type.Optional(text('A word `w`, short for `application/vnd.artifact-store.w`, or a media type.', 255)),
  retentionClass: Type.Optional(text('Retention class.', 128)),
  fileSets: Type.Optional(Type.Array(fileSetRule, { maxItems: 100 })),
  tags: Type.Optional(Type.Array(tagName, { maxItems: 1_000 })),
})

/** Body of `POST /packages/{id}/finalize`. */
export const finalizePackage: TUnsafe<FinalizePackage> = closed<FinalizePackage>('FinalizePackage')(content)

/** An opened package. */
export interface OpenedPackage {
  readonly id: string
  readonly repository: string
  readonly status: 'open' | 'finalized'
  readonly reusedExisting: boolean
}

/** Answer of `POST /packages`. */
export const openedPackage: TUnsafe<OpenedPackage> = closed<OpenedPackage>('OpenedPackage')({
  id: packageId,
  repository: repositoryName,
  status: oneOf(['open', 'finalized'], 'Whether files can still be added.'),
  reusedExisting: Type.Boolean({ description: 'Whether this run was opened before.' }),
})

/** The receipt of a sealed package. */
export type Receipt = Omit<FinalizedPackage, 'id'> & { readonly packageId: FinalizedPackage['id'] }

/** Answer of `POST /packages/{id}/finalize`. */
export const receipt: TUnsafe<Receipt> = closed<Receipt>('Receipt')({
  packageId,
  repository: repositoryName,
  manifestDigest: digest,
  fileCount: count('Files.'),
  size: count("Sum of the files' bytes."),
  reusedExisting: Type.Boolean({ description: 'Whether the repository held this very content already.' }),
})

/** A package as listings show it. */
export const packageInfo: TUnsafe<PackageInfo> = closed<PackageInfo>('PackageInfo')({
  id: packageId,
  repository: repositoryName,
  status: oneOf(['open', 'finalized', 'deleted', 'purged'], 'State of the package.'),
  type: text('Media type of the package.', 255),
  producer: Type.Optional(text('Producer.')),
  subject: Type.Optional(text('Subject.')),
  runId: Type.Optional(text('Run id.', 256)),
  retentionClass: Type.Optional(text('Retention class.', 128)),
  createdAt: time('When it was opened.'),
  finalizedAt: Type.Optional(time('When it was sealed.')),
  expiresAt: Type.Optional(time('Until when it is kept.')),
  manifestDigest: Type.Optional(digest),
  fileCount: count('Files.'),
  size: count("Sum of the files' bytes."),
  tags: Type.Array(tagName),
  metadata: Type.Optional(freeObject('Metadata of the producer.')),
})

/** Query of `GET /packages`: the filters of a search, `metadata.<key>` for members of the metadata. */
export interface PackageSearch {
  readonly repository?: string
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly type?: string
  readonly retentionClass?: string
  readonly status?: 'finalized' | 'deleted' | 'purged'
  readonly tag?: string
  readonly from?: string
  readonly until?: string
  readonly limit?: number
  readonly after?: string
}

const searchMembers = {
  ...pageMembers,
  repository: Type.Optional(text('This repository and those below it, by whole components.', 255)),
  producer: Type.Optional(text('Producer.')),
  subject: Type.Optional(text('Subject.')),
  runId: Type.Optional(text('Run id.', 256)),
  type: Type.Optional(text('Package type: a word or a media type.', 255)),
  retentionClass: Type.Optional(text('Retention class.', 128)),
  status: Type.Optional(oneOf(['finalized', 'deleted', 'purged'], 'State.')),
  tag: Type.Optional(tagName),
  from: Type.Optional(time('Sealed at this time or later.')),
  until: Type.Optional(time('Sealed before this time.')),
}

/** The prefix of parameters that look into the metadata. */
export const METADATA_PREFIX = 'metadata.'

/** Query of `GET /packages`. */
export const packageSearch: TUnsafe<PackageSearch> = Type.Unsafe<PackageSearch>({
  ...closed<PackageSearch>()(searchMembers),
  patternProperties: { '^metadata\\..': { type: 'string', maxLength: 1_024 } },
})

const fileSetContent = closed<FileSetContent>()({ name: fileSetName, match: globs })
const symlink = closed<SymlinkEntry>()({ path: filePath, target: text('Where it leads.', 4_096) })

/** What a package says of itself beside its files. */
export const packageDocument: TUnsafe<PackageDocument> = closed<PackageDocument>('PackageDocument')({
  schemaVersion: Type.Unsafe<1>({ type: 'integer', enum: [1], description: 'Version of the document.' }),
  ...content,
  ...facts,
  fileSets: Type.Optional(Type.Array(fileSetContent)),
  symlinks: Type.Optional(Type.Array(symlink)),
  directories: Type.Optional(Type.Array(filePath, { description: 'Those that hold nothing.' })),
})
