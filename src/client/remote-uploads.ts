import { DocumentInvalidError, NotFoundError, OffsetConflictError, ServerUnreachableError, StoreError } from '../core/errors.ts'
import { type Digest, parseDigest } from '../core/digest-text.ts'
import { parsePackageId } from '../core/name.ts'
import { parsePath } from '../core/path.ts'
import type { AppendToUpload, CreateUpload, UploadInfo, Uploads } from '../store/upload-interface.ts'
import { type Call, type Connection, NEVER, type RequestBody } from './connection.ts'
import { requestPath } from './request-url.ts'
import { backOffMs, pause } from './retry-schedule.ts'

/** Version of the protocol (https://tus.io/protocols/resumable-upload, 1.0.0). */
const TUS = { 'tus-resumable': '1.0.0' }
const OFFSET_OCTETS = { ...TUS, 'content-type': 'application/offset+octet-stream' }

/** Resumable uploads to a store behind a server, in the words of tus 1.0. */
export class RemoteUploads implements Uploads {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async create(request: CreateUpload): Promise<UploadInfo> {
    return this.get(await this.#create(request))
  }

  get(id: string, signal?: AbortSignal): Promise<UploadInfo> {
    return this.#connection.call({ method: 'HEAD', path: uploadPath(id), headers: TUS, signal }, (response) => infoOf(id, response))
  }

  async append(id: string, offset: number, source: AsyncIterable<Uint8Array>, options: AppendToUpload = {}): Promise<UploadInfo> {
    const { checksum, signal } = options
    const sum = checksum === undefined ? {} : { 'upload-checksum': `${checksum.algorithm} ${base64(checksum.value)}` }
    await this.send(id, offset, { once: source }, sum, signal)
    return this.get(id, signal)
  }

  async declareLength(id: string, length: number): Promise<UploadInfo> {
    const { offset } = await this.get(id)
    await this.send(id, offset, new Uint8Array(0), { 'upload-length': String(length) })
    return this.get(id)
  }

  async remove(id: string): Promise<void> {
    await this.#connection.done({ method: 'DELETE', path: uploadPath(id), headers: TUS })
  }

  /** Begins an upload that goes on by itself when the connection breaks off. */
  async begin(request: CreateUpload, signal?: AbortSignal): Promise<OngoingUpload> {
    return new OngoingUpload(this, this.#connection.retries, await this.#create(request, signal), signal)
  }

  /** Sends bytes once. @returns how far the upload is then, and what it became if that was the last of them */
  send(id: string, offset: number, body: RequestBody, headers: Readonly<Record<string, string>> = {}, signal?: AbortSignal): Promise<Advance> {
    const call: Call = {
      method: 'PATCH',
      path: uploadPath(id),
      headers: { ...OFFSET_OCTETS, 'upload-offset': String(offset), ...headers },
      body,
      signal,
    }
    return this.#connection.call(call, async (response) => {
      await this.#connection.held(response)
      const digest = response.headers.get('upload-digest')
      return { offset: numberOf(response, 'upload-offset'), ...(digest === null ? {} : { digest: parseDigest(digest) }) }
    })
  }

  async #create({ length, ...facts }: CreateUpload, signal?: AbortSignal): Promise<string> {
    const size: Readonly<Record<string, string>> = length === undefined ? { 'upload-defer-length': '1' } : { 'upload-length': String(length) }
    const metadata = metadataOf(facts)
    const headers = { ...TUS, ...size, ...(metadata === '' ? {} : { 'upload-metadata': metadata }) }
    // A second upload that nobody writes to is forgotten after a while.
    const location = await this.#connection.call({ method: 'POST', path: 'uploads', headers, signal, repeatable: true }, async (response) => {
      await this.#connection.held(response)
      return response.headers.get('location') ?? ''
    })
    const id = /\/uploads\/([^/?#]+)$/.exec(location)?.[1]
    if (id === undefined) throw new DocumentInvalidError('the server did not say where the upload is')
    return decodeURIComponent(id)
  }
}

/** How far an upload is. */
export type Advance = Pick<UploadInfo, 'offset' | 'digest'>

/** What is sent next: `from` gives the bytes from an offset up to `end`, however often it is asked. */
export interface UploadStep {
  readonly end: number
  readonly from: (offset: number) => RequestBody
}

/** One upload, step by step. */
export class OngoingUpload {
  readonly #uploads: RemoteUploads
  readonly #retries: number
  readonly #id: string
  readonly #signal: AbortSignal | undefined
  #offset = 0
  #digest: Digest | undefined
  #length: number | undefined

  constructor(uploads: RemoteUploads, retries: number, id: string, signal: AbortSignal | undefined) {
    this.#uploads = uploads
    this.#retries = retries
    this.#id = id
    this.#signal = signal
  }

  /** What the server has, in bytes. */
  get offset(): number {
    return this.#offset
  }

  /** Says, before the last step, how long the upload is. */
  declare(length: number): void {
    this.#length = length
  }

  /** Sends a step, from wherever the server is when something breaks off, until all of it is there. */
  async advance({ end, from }: UploadStep): Promise<void> {
    for (let failures = 0; ;) {
      const before = this.#offset
      try {
        const length: Readonly<Record<string, string>> = this.#length === undefined ? {} : { 'upload-length': String(this.#length) }
        // Also when nothing is left to send: the last word settles the upload.
        this.#note(await this.#uploads.send(this.#id, before, from(before), length, this.#signal))
        if (this.#offset >= end) return
      } catch (error) {
        if (!isTransient(error) || failures++ >= this.#retries) throw error
        await pause(backOffMs(failures, Math.random()), this.#signal ?? NEVER)
        this.#note(await this.#uploads.get(this.#id, this.#signal))
      }
      if (this.#offset > before) failures = 0
    }
  }

  /** What the complete upload became. */
  async digest(): Promise<Digest> {
    const digest = this.#digest ?? (await this.#uploads.get(this.#id, this.#signal)).digest
    if (digest !== undefined) return digest
    throw new DocumentInvalidError(`the server did not say what upload ${this.#id} became`)
  }

  #note({ offset, digest }: Advance): void {
    this.#offset = offset
    this.#digest = digest
  }
}

/** Whether the upload may be somewhere, and another attempt get around what happened. */
function isTransient(error: unknown): boolean {
  return (
    error instanceof ServerUnreachableError ||
    error instanceof OffsetConflictError ||
    (error instanceof StoreError && error.retryable && error.code !== 'aborted')
  )
}

function infoOf(id: string, response: Response): UploadInfo {
  const { headers } = response
  const metadata = parseMetadata(headers.get('upload-metadata') ?? '')
  const [packageId, path, mediaType, expected, digest, length, expires] = [
    metadata.get('packageId'),
    metadata.get('path'),
    metadata.get('filetype'),
    metadata.get('digest'),
    headers.get('upload-digest'),
    headers.get('upload-length'),
    headers.get('upload-expires'),
  ]
  return {
    id,
    offset: numberOf(response, 'upload-offset'),
    expiresAt: expires === null ? '' : new Date(expires).toISOString(),
    ...(length === null ? {} : { length: numberOf(response, 'upload-length') }),
    ...(packageId === undefined ? {} : { packageId: parsePackageId(packageId) }),
    ...(path === undefined ? {} : { path: parsePath(path) }),
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(metadata.get('executable') === 'true' ? { executable: true } : {}),
    ...(expected === undefined ? {} : { expectedDigest: parseDigest(expected) }),
    ...(digest === null ? {} : { digest: parseDigest(digest) }),
  }
}

function numberOf(response: Response, header: string): number {
  const value = response.headers.get(header) ?? ''
  if (/^[0-9]{1,16}$/.test(value)) return Number(value)
  throw new DocumentInvalidError(`the server's answer has no proper ${header}`)
}

function metadataOf({ packageId, path, mediaType, executable, digest }: Omit<CreateUpload, 'length'>): string {
  const values = { packageId, path, filetype: mediaType, digest, executable: executable === true ? 'true' : undefined }
  return Object.entries(values)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key} ${base64(new TextEncoder().encode(value))}`]))
    .join(',')
}

function parseMetadata(header: string): ReadonlyMap<string, string> {
  const entries = header.split(',').flatMap((entry) => {
    const [key, value] = entry.trim().split(' ')
    return key === undefined || key === '' ? [] : [[key, textOf(value ?? '')] as const]
  })
  return new Map(entries)
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}

function textOf(encoded: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)))
}

/** @throws NotFoundError for an id that none of ours can be, and that might lead elsewhere */
function uploadPath(id: string): string {
  if (!/^[\w-]+$/.test(id)) throw new NotFoundError(`no upload '${id.slice(0, 100)}'`)
  return requestPath(['uploads', id])
}
