import { Type, type TUnsafe } from 'typebox'
import { closed, text } from './closed.ts'

/** Parameters of `/uploads/{id}`. */
export interface UploadParameters {
  readonly id: string
}

/** Header fields of tus; what is in them is parsed in `tus.ts`. */
export interface TusHeaders {
  readonly 'tus-resumable'?: string
  readonly 'upload-length'?: string
  readonly 'upload-defer-length'?: string
  readonly 'upload-metadata'?: string
  readonly 'upload-offset'?: string
  readonly 'upload-checksum'?: string
}

/** Parameters of `/uploads/{id}`. */
export const uploadParameters: TUnsafe<UploadParameters> = closed<UploadParameters>()({ id: text('Upload id.', 100) })

const fields = {
  'tus-resumable': text('Version of the protocol: 1.0.0.', 20),
  'upload-length': text('Bytes of the whole upload.', 20),
  'upload-defer-length': text('`1`: the length is told later.', 1),
  'upload-metadata': text('Pairs of a key and its value in base64, separated by commas: packageId, path, filetype, digest, executable.', 16_384),
  'upload-offset': text('Where these bytes begin.', 20),
  'upload-checksum': text('`sha1` or `sha256`, and the hash of these bytes in base64.', 100),
} as const

/** The header fields of tus that a route looks at. Others are the business of HTTP. */
export function tusHeaders(...names: readonly (keyof TusHeaders)[]): TUnsafe<TusHeaders> {
  const members = Object.fromEntries(names.map((name) => [name, Type.Optional(fields[name])]))
  return Type.Unsafe<TusHeaders>(Type.Object(members, { additionalProperties: true }))
}
