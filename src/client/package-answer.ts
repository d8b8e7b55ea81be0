import { type PackageId, parsePackageId, parseRepositoryName, parseTagName, type RepositoryName } from '../core/name.ts'
import type { PackageDocument, PackageLink, Provenance, SourceRevision } from '../core/package-document.ts'
import { parsePath } from '../core/path.ts'
import type { RepositoryPolicy } from '../core/repository-policy.ts'
import type { FinalizedPackage, Health, MetadataSchema, PackageInfo, RepositoryInfo, TagInfo } from '../store/interface.ts'
import {
  Members,
  type Read,
  readBoolean,
  readBrand,
  readCount,
  readDigest,
  readJsonObject,
  readList,
  readText,
  readTextMap,
  readWord,
} from './answer.ts'

/** Reads a package id. */
export const readPackageId: Read<PackageId> = readBrand(parsePackageId)
const readRepositoryName = readBrand(parseRepositoryName)
const readTagName = readBrand(parseTagName)
const readState = readWord('pass', 'warn', 'fail')

/** What opening a package answers. */
export interface OpenedPackage {
  readonly id: PackageId
  readonly repository: RepositoryName
  readonly status: 'open' | 'finalized'
  readonly reusedExisting: boolean
}

/** Reads the answer of `POST /packages`. */
export const readOpened: Read<OpenedPackage> = (value, where) => {
  const members = new Members(value, where)
  return {
    id: members.one('id', readPackageId),
    repository: members.one('repository', readRepositoryName),
    status: members.one('status', readWord('open', 'finalized')),
    reusedExisting: members.one('reusedExisting', readBoolean),
  }
}

/** Reads the receipt of a sealed package. */
export const readReceipt: Read<FinalizedPackage> = (value, where) => {
  const members = new Members(value, where)
  return {
    id: members.one('packageId', readPackageId),
    repository: members.one('repository', readRepositoryName),
    manifestDigest: members.one('manifestDigest', readDigest),
    fileCount: members.one('fileCount', readCount),
    size: members.one('size', readCount),
    reusedExisting: members.one('reusedExisting', readBoolean),
  }
}

/** Reads a package as listings show it. */
export const readPackageInfo: Read<PackageInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    id: members.one('id', readPackageId),
    repository: members.one('repository', readRepositoryName),
    status: members.one('status', readWord('open', 'finalized', 'deleted', 'purged')),
    type: members.one('type', readText),
    ...members.maybe('producer', readText),
    ...members.maybe('subject', readText),
    ...members.maybe('runId', readText),
    ...members.maybe('retentionClass', readText),
    createdAt: members.one('createdAt', readText),
    ...members.maybe('finalizedAt', readText),
    ...members.maybe('expiresAt', readText),
    ...members.maybe('manifestDigest', readDigest),
    fileCount: members.one('fileCount', readCount),
    size: members.one('size', readCount),
    tags: members.one('tags', readList(readTagName)),
    ...members.maybe('metadata', readJsonObject),
  }
}

/** Reads a package document. */
export const readDocument: Read<PackageDocument> = (value, where) => {
  const members = new Members(value, where)
  members.one('schemaVersion', (version, place) => readWord('1')(String(version), place))
  return {
    schemaVersion: 1,
    ...members.maybe('producer', readText),
    ...members.maybe('subject', readText),
    ...members.maybe('runId', readText),
    ...members.maybe('provenance', readProvenance),
    ...members.maybe('metadata', readJsonObject),
    ...members.maybe('metadataSchema', readText),
    ...members.maybe('links', readList(readLink)),
    ...members.maybe('fileSets', readList(readFileSet)),
    ...members.maybe('symlinks', readList(readSymlink)),
    ...members.maybe('directories', readList(readBrand(parsePath))),
  }
}

const readProvenance: Read<Provenance> = (value, where) => {
  const members = new Members(value, where)
  return {
    ...members.maybe('sources', readList(readSource)),
    ...members.maybe('environment', readTextMap),
    ...members.maybe('tool', readTool),
  }
}

const readSource: Read<SourceRevision> = (value, where) => {
  const members = new Members(value, where)
  return {
    repository: members.one('repository', readText),
    ...members.maybe('commit', readText),
    ...members.maybe('ref', readText),
    ...members.maybe('path', readText),
    ...members.maybe('dirty', readBoolean),
  }
}

const readTool: Read<NonNullable<Provenance['tool']>> = (value, where) => {
  const members = new Members(value, where)
  return { name: members.one('name', readText), ...members.maybe('version', readText) }
}

const readLink: Read<PackageLink> = (value, where) => {
  const members = new Members(value, where)
  return { rel: members.one('rel', readText), url: members.one('url', readText) }
}

const readFileSet: Read<NonNullable<PackageDocument['fileSets']>[number]> = (value, where) => {
  const members = new Members(value, where)
  return { name: members.one('name', readText), match: members.one('match', readList(readText)) }
}

const readSymlink: Read<NonNullable<PackageDocument['symlinks']>[number]> = (value, where) => {
  const members = new Members(value, where)
  return { path: members.one('path', readBrand(parsePath)), target: members.one('target', readText) }
}

const readPolicy: Read<RepositoryPolicy> = (value, where) => {
  const members = new Members(value, where)
  return {
    ...members.maybe('defaultClass', readText),
    ...members.maybe('minimumClass', readText),
    ...members.maybe('publicRead', readBoolean),
    ...members.maybe('immutableTags', readBoolean),
    ...members.maybe('separationOfDuties', readBoolean),
  }
}

/** Reads a repository as listings show it. */
export const readRepository: Read<RepositoryInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    name: members.one('name', readRepositoryName),
    packages: members.one('packages', readCount),
    createdAt: members.one('createdAt', readText),
    policy: members.one('policy', readPolicy),
  }
}

/** Reads a tag and where it leads. */
export const readTag: Read<TagInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    tag: members.one('tag', readTagName),
    packageId: members.one('packageId', readPackageId),
    manifestDigest: members.one('manifestDigest', readDigest),
  }
}

/** Reads a schema of metadata. */
export const readMetadataSchema: Read<MetadataSchema> = (value, where) => {
  const members = new Members(value, where)
  return {
    name: members.one('name', readText),
    digest: members.one('digest', readDigest),
    createdAt: members.one('createdAt', readText),
    schema: members.one('schema', readJsonObject),
  }
}

/** Reads the checks of a store. */
export const readHealth: Read<Health> = (value, where) => {
  const members = new Members(value, where)
  const checks = Object.entries(members.one('checks', readJsonObject)).map(([name, check]) => {
    const facts = new Members(check, `${where}.checks.${name}`)
    return [name, { status: facts.one('status', readState), ...facts.maybe('observed', readText) }] as const
  })
  return { status: members.one('status', readState), checks: Object.fromEntries(checks) }
}
