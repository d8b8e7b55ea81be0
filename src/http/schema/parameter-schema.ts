import { Type, type TUnsafe } from 'typebox'
import { closed, oneOf, text } from './closed.ts'
import { digest, filePath, packageId, reference, repositoryName, tagName } from './name-schema.ts'
import { pageMembers } from './page-schema.ts'

/** Parameters of `/packages/{id}…`. */
export interface PackageParameters {
  readonly id: string
}
/** Parameters of `/packages/{id}/files/{path}`. */
export interface FileParameters extends PackageParameters {
  readonly path: string
}
/** Parameters of `/repositories/{name}…`. */
export interface RepositoryParameters {
  readonly name: string
}
/** Parameters of `/repositories/{name}/tags/{tag}`. */
export interface TagParameters extends RepositoryParameters {
  readonly tag: string
}
/** Query that names a child manifest. */
export interface ChildQuery {
  readonly digest?: string
}
/** Query of `GET /resolve`. */
export interface ResolveQuery {
  readonly ref: string
}
/** Query of lists whose items begin with something. */
export interface PrefixQuery {
  readonly prefix?: string
  readonly limit?: number
  readonly after?: string
}
/** Query of `PUT /packages/{id}/files/{path}`. */
export interface PutQuery {
  readonly executable?: 'true' | 'false'
}

/** Parameters of `/packages/{id}…`. */
export const packageParameters: TUnsafe<PackageParameters> = closed<PackageParameters>()({ id: packageId })
/** Parameters of `/packages/{id}/files/{path}`. */
export const fileParameters: TUnsafe<FileParameters> = closed<FileParameters>()({ id: packageId, path: filePath })
/** Parameters of `/repositories/{name}…`. */
export const repositoryParameters: TUnsafe<RepositoryParameters> = closed<RepositoryParameters>()({ name: repositoryName })
/** Parameters of `/repositories/{name}/tags/{tag}`. */
export const tagParameters: TUnsafe<TagParameters> = closed<TagParameters>()({ name: repositoryName, tag: tagName })
/** Query of `GET /packages/{id}/manifest`. */
export const childQuery: TUnsafe<ChildQuery> = closed<ChildQuery>()({ digest: Type.Optional(digest) })
/** Query of `GET /resolve`. */
export const resolveQuery: TUnsafe<ResolveQuery> = closed<ResolveQuery>()({ ref: reference })
/** Query of lists of paths. */
export const pathPrefixQuery: TUnsafe<PrefixQuery> = closed<PrefixQuery>()({
  ...pageMembers,
  prefix: Type.Optional(text('Only what has a path that begins so.', 4_096)),
})
/** Query of lists of repositories. */
export const namePrefixQuery: TUnsafe<PrefixQuery> = closed<PrefixQuery>()({
  ...pageMembers,
  prefix: Type.Optional(text('Only names that begin so.', 255)),
})
/** Query of `PUT /packages/{id}/files/{path}`. */
export const putQuery: TUnsafe<PutQuery> = closed<PutQuery>()({
  executable: Type.Optional(oneOf(['true', 'false'], 'Whether the file may be executed.')),
})
