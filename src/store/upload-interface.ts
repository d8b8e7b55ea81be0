import type { Digest } from '../core/digest.ts'
import type { PackageId } from '../core/name.ts'
import type { FilePath } from '../core/path.ts'

/** What an upload is to become. Without a package it is only held, until it expires. */
export interface CreateUpload {
  /** An open package, and the path that the finished upload has in it. */
  readonly packageId?: string
  readonly path?: string
  readonly mediaType?: string
  readonly executable?: boolean
  /** Checked when the upload is complete. */
  readonly digest?: string
  /** Bytes in all; may be declared later. */
  readonly length?: number
}

/** How far an upload is. */
export interface UploadInfo {
  readonly id: string
  /** Bytes that are durable. */
  readonly offset: number
  readonly length?: number
  readonly packageId?: PackageId
  readonly path?: FilePath
  /** What it was made with. */
  readonly mediaType?: string
  readonly executable?: boolean
  readonly expectedDigest?: Digest
  /** RFC 3339. An upload that nobody touches is forgotten then. */
  readonly expiresAt: string
  /** Present when the upload is complete: what it became. */
  readonly digest?: Digest
}

/** What some bytes must hash to. */
export interface UploadChecksum {
  readonly algorithm: 'sha1' | 'sha256'
  /** The raw hash. */
  readonly value: Uint8Array
}

/** How to add bytes to an upload. */
export interface AppendToUpload {
  /** Of just these bytes; of bytes that do not match nothing stays. */
  readonly checksum?: UploadChecksum
  readonly signal?: AbortSignal
}

/** Resumable uploads: bytes arrive in pieces, in order, each durable before it is told. */
export interface Uploads {
  create(request: CreateUpload): Promise<UploadInfo>
  /** @throws NotFoundError when there is none, or it expired or was given up */
  get(id: string): Promise<UploadInfo>
  /**
   * Adds bytes at `offset`. Takes the upload over from any other writer, which then fails. What was durable when a source breaks off stays. The last
   * byte completes the upload: digest and package are settled before this returns.
   * @throws OffsetConflictError when the upload is elsewhere, or another writer took it over; DigestMismatchError; LimitExceededError beyond its length
   */
  append(id: string, offset: number, source: AsyncIterable<Uint8Array>, options?: AppendToUpload): Promise<UploadInfo>
  /** Declares the length, once. */
  declareLength(id: string, length: number): Promise<UploadInfo>
  /** Gives an upload up. */
  remove(id: string): Promise<void>
}
