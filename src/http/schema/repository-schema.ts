import { Type, type TUnsafe } from 'typebox'
import type { Digest } from '../../core/digest.ts'
import type { PackageId, TagName } from '../../core/name.ts'
import type { RepositoryPolicy } from '../../core/repository-policy.ts'
import type { RepositoryInfo } from '../../store/interface.ts'
import { closed, count, text, time } from './closed.ts'
import { digest, packageId, reference, repositoryName, tagName } from './name-schema.ts'

/** What holds for all packages of a repository. */
export const repositoryPolicy: TUnsafe<RepositoryPolicy> = closed<RepositoryPolicy>('RepositoryPolicy')({
  defaultClass: Type.Optional(text('Class of packages that name none.', 128)),
  minimumClass: Type.Optional(text('Nothing is kept shorter than this class says.', 128)),
  publicRead: Type.Optional(Type.Boolean({ description: 'Anybody may read.' })),
  immutableTags: Type.Optional(Type.Boolean({ description: 'A tag that is set cannot be moved or removed.' })),
  separationOfDuties: Type.Optional(Type.Boolean({ description: 'Who approves or releases must be another than who asked.' })),
})

/** A repository as listings show it. */
export const repositoryInfo: TUnsafe<RepositoryInfo> = closed<RepositoryInfo>('RepositoryInfo')({
  name: repositoryName,
  packages: count('Packages in it.'),
  createdAt: time('When it was made.'),
  policy: repositoryPolicy,
})

/** A tag and where it leads. */
export interface TagInfo {
  readonly tag: TagName
  readonly packageId: PackageId
  readonly manifestDigest: Digest
}

/** A tag and where it leads. */
export const tagInfo: TUnsafe<TagInfo> = closed<TagInfo>('TagInfo')({ tag: tagName, packageId, manifestDigest: digest })

/** Body of `PUT /repositories/{name}/tags/{tag}`. */
export interface TagTarget {
  readonly ref: string
}

/** Body of `PUT /repositories/{name}/tags/{tag}`. */
export const tagTarget: TUnsafe<TagTarget> = closed<TagTarget>('TagTarget')({ ref: reference })
