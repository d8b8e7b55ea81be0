import { parsePath } from '../core/path.ts'
import type { ExpiredFileSet, FileInfo, VerifiedFile, VerifiedPack } from '../store/interface.ts'
import { Members, type Read, readBoolean, readBrand, readCount, readDigest, readList, readText, readWord } from './answer.ts'
import { readPackageId } from './package-answer.ts'
import { readProblem } from './problem.ts'

/** A file as a client knows it. */
export type RemoteFile = Extract<FileInfo, { kind: 'file' }>

/** Reads a path. */
const readPath: Read<FileInfo['path']> = readBrand(parsePath)

/** Reads an entry of a package. */
export const readFileInfo: Read<FileInfo> = (value, where) => {
  const members = new Members(value, where)
  const kind = members.one('kind', readWord('file', 'symlink', 'directory'))
  const path = members.one('path', readPath)
  if (kind === 'directory') return { kind, path }
  if (kind === 'symlink') return { kind, path, target: members.one('target', readText) }
  return {
    kind,
    path,
    digest: members.one('digest', readDigest),
    size: members.one('size', readCount),
    mediaType: members.one('mediaType', readText),
    executable: members.one('executable', readBoolean),
    fileSets: members.one('fileSets', readList(readText)),
  }
}

/** Reads the tombstone of a file set. */
export const readExpired: Read<ExpiredFileSet> = (value, where) => {
  const members = new Members(value, where)
  return {
    fileSets: members.one('fileSets', readList(readText)),
    count: members.one('count', readCount),
    size: members.one('size', readCount),
    deletedAt: members.one('deletedAt', readText),
  }
}

/** Reads a line of a verification. */
export const readVerifiedFile: Read<VerifiedFile> = (value, where) => {
  const members = new Members(value, where)
  return {
    packageId: members.one('packageId', readPackageId),
    ...members.maybe('path', readPath),
    digest: members.one('digest', readDigest),
    size: members.one('size', readCount),
    ...members.maybe('problem', readProblem),
  }
}

/** Reads a line of a verification of packs. */
export const readVerifiedPack: Read<VerifiedPack> = (value, where) => {
  const members = new Members(value, where)
  return { key: members.one('key', readText), ...members.maybe('problem', readProblem) }
}
