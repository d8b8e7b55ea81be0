import { Buffer } from 'node:buffer'
import { digestOf, type Digest } from './digest.ts'

/** What a manifest says about something it refers to (OCI image specification 1.1, descriptor.md). `size` in bytes. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** Media type of an OCI image manifest. */
export const IMAGE_MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
/** Media type of an OCI image index. */
export const IMAGE_INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
/** Media type of the OCI empty descriptor (manifest.md "Guidance for an Empty Descriptor"). */
export const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json'
/** Media type of the package document, the `config` of every package. */
export const PACKAGE_DOCUMENT_TYPE = 'application/vnd.artifact-store.package.v1+json'

/** Annotation of a layer: the path of the file. */
export const TITLE_ANNOTATION = 'org.opencontainers.image.title'
/** Annotation of a layer: `"true"` for an executable file; absent otherwise. */
export const EXECUTABLE_ANNOTATION = 'vnd.artifact-store.executable'
/** Annotation of a layer: the media type with its parameters; absent when it has none. OCI descriptors hold the type alone. */
export const MEDIA_TYPE_ANNOTATION = 'vnd.artifact-store.media-type'
/** Annotation of a files child and of its index entry: the set key; absent for the unnamed set. */
export const FILE_SETS_ANNOTATION = 'vnd.artifact-store.file-sets'
/** Annotation of an index entry: how many files the child names, decimal. */
export const FILE_COUNT_ANNOTATION = 'vnd.artifact-store.file-count'
/** Annotation of an index entry: the sum of the sizes of those files in bytes, decimal. */
export const FILE_BYTES_ANNOTATION = 'vnd.artifact-store.file-bytes'

/** The two bytes `{}` that the OCI empty descriptor names. */
export const EMPTY_BYTES: Uint8Array = Buffer.from('{}')
/** Stands where a manifest must refer to something and there is nothing. */
export const EMPTY_DESCRIPTOR: Descriptor = { mediaType: EMPTY_TYPE, digest: digestOf(EMPTY_BYTES), size: EMPTY_BYTES.byteLength }
