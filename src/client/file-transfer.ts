import type { Digest } from '../core/digest-text.ts'
import { AlreadyExistsError, DigestMismatchError, StoreError } from '../core/errors.ts'
import type { PackageId } from '../core/name.ts'
import type { FilePath } from '../core/path.ts'
import { Members, type Read, readCount, readDigest } from './answer.ts'
import type { Connection, RequestBody } from './connection.ts'
import { type Content, cut, piecesOfFile } from './content.ts'
import type { RemoteUploads } from './remote-uploads.ts'
import { requestPath } from './request-url.ts'
import { loadSha256, type Sha256 } from './sha256.ts'

/** What is said of a file that is sent. */
export interface FileFacts {
  readonly path: FilePath
  readonly mediaType?: string
  readonly executable?: boolean
  /** Checked against what is sent. */
  readonly digest?: Digest
  readonly size?: number
}

/** A file that the server has. */
export interface StoredFile {
  readonly digest: Digest
  readonly size: number
}

/** Larger ones are uploaded, so that they go on where a connection broke off; smaller ones are sent again. */
const UPLOAD_BYTES = 16 * 1024 * 1024
/** What is sent of a file at a time. The server keeps what arrived of it. */
const FILE_STEP_BYTES = 256 * 1024 * 1024
/** What is held of a stream, which cannot be asked again, until the server has it. */
const STREAM_STEP_BYTES = 16 * 1024 * 1024

/** Sends files to an open package, one by one. */
export class FileTransfer {
  readonly #connection: Connection
  readonly #uploads: RemoteUploads
  readonly #packageId: PackageId

  constructor(connection: Connection, uploads: RemoteUploads, packageId: PackageId) {
    this.#connection = connection
    this.#uploads = uploads
    this.#packageId = packageId
  }

  /**
   * Stores a file. The digest that the server says it got is compared with the announced one, or else with that of what was sent.
   * @throws DigestMismatchError; AlreadyExistsError with `onlyIfAbsent`
   */
  async send(
    facts: FileFacts,
    content: Content,
    options: { readonly onlyIfAbsent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<StoredFile> {
    const { onlyIfAbsent = false, signal } = options
    // What was announced the server compares; hashing it here too would tell nothing new.
    const witness = facts.digest === undefined ? new Witness((await loadSha256())()) : undefined
    if (content.kind === 'held') witness?.see(content.bytes, 0)
    const isUploaded = !onlyIfAbsent && (content.kind === 'stream' || sizeOf(content) > UPLOAD_BYTES)
    const stored = isUploaded ? await this.#upload(facts, content, witness, signal) : await this.#put(facts, content, witness, onlyIfAbsent, signal)
    assertAnnounced(facts, stored)
    if (witness !== undefined) assertAnnounced({ path: facts.path, ...witness.facts() }, stored)
    return stored
  }

  async #put(
    facts: FileFacts,
    content: Content,
    witness: Witness | undefined,
    onlyIfAbsent: boolean,
    signal: AbortSignal | undefined,
  ): Promise<StoredFile> {
    const { path, mediaType, executable } = facts
    const digest = facts.digest ?? (content.kind === 'held' ? witness?.facts().digest : undefined)
    const query = executable === true ? { executable: 'true' } : {}
    try {
      return await this.#connection.json(
        {
          method: 'PUT',
          path: requestPath(['packages', this.#packageId, 'files', ...path.split('/')], query),
          headers: {
            ...(mediaType === undefined ? {} : { 'content-type': mediaType }),
            ...(digest === undefined ? {} : { 'repr-digest': digestField(digest) }),
            ...(onlyIfAbsent ? { 'if-none-match': '*' } : {}),
          },
          body: bodyOf(content, witness),
          signal,
        },
        readStoredFile,
      )
    } catch (error) {
      if (onlyIfAbsent && error instanceof StoreError && error.code === 'already_exists') {
        throw new AlreadyExistsError(`package ${this.#packageId} has an entry '${path}' already`, { cause: error })
      }
      throw error
    }
  }

  async #upload(facts: FileFacts, content: Content, witness: Witness | undefined, signal: AbortSignal | undefined): Promise<StoredFile> {
    const { size, ...named } = facts
    const length = content.kind === 'stream' ? size : sizeOf(content)
    const request = { packageId: this.#packageId, ...named, ...(length === undefined ? {} : { length }) }
    const upload = await this.#uploads.begin(request, signal)
    if (content.kind === 'file') {
      while (upload.offset < content.size) {
        const end = Math.min(content.size, upload.offset + FILE_STEP_BYTES)
        await upload.advance({
          end,
          from: (offset) => ({ size: end - offset, open: () => watched(piecesOfFile(content.file, offset, end), offset, witness) }),
        })
      }
    } else {
      const pieces = content.kind === 'held' ? bytesOnce(content.bytes) : content.pieces
      for await (const { bytes, isLast } of cut(pieces, STREAM_STEP_BYTES)) {
        const start = upload.offset
        if (content.kind === 'stream') witness?.see(bytes, start)
        const end = start + bytes.length
        if (isLast && length === undefined) upload.declare(end)
        await upload.advance({ end, from: (offset) => bytes.subarray(offset - start) })
      }
    }
    return { digest: await upload.digest(), size: upload.offset }
  }
}

/** Hashes what is sent, once and in order, however often parts of it are sent again. */
class Witness {
  readonly #hash: Sha256
  #size = 0

  constructor(hash: Sha256) {
    this.#hash = hash
  }

  /** @param position of the first byte */
  see(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end <= this.#size) return
    this.#hash.update(bytes.subarray(Math.max(0, this.#size - position)))
    this.#size = end
  }

  facts(): StoredFile {
    return { digest: this.#hash.digest(), size: this.#size }
  }
}

/** Shows pieces to a witness. @param start position of the first one */
async function* watched(pieces: AsyncIterable<Uint8Array>, start: number, witness: Witness | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  let position = start
  for await (const piece of pieces) {
    witness?.see(piece, position)
    position += piece.length
    yield piece
  }
}

/** The two forms of what was said of bytes and what they are. @throws DigestMismatchError with both */
export function assertAnnounced(announced: Pick<FileFacts, 'path' | 'digest' | 'size'>, actual: StoredFile): void {
  const { path, digest, size } = announced
  if (digest !== undefined && digest !== actual.digest && digest.startsWith('sha256:')) {
    throw new DigestMismatchError(`'${path}': the bytes have the digest ${actual.digest}, announced was ${digest}`, {
      detail: { path, expected: digest, actual: actual.digest },
    })
  }
  if (size !== undefined && size !== actual.size) {
    throw new DigestMismatchError(`'${path}': there are ${actual.size} bytes, announced were ${size}`, {
      detail: { path, expectedSize: size, actualSize: actual.size },
    })
  }
}

/** A digest as HTTP writes it (RFC 9530). */
function digestField(digest: Digest): string {
  return `sha-256=:${btoa(String.fromCharCode(...bytesOfHex(digest.slice('sha256:'.length))))}:`
}

function bytesOfHex(hex: string): readonly number[] {
  return (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16))
}

function bodyOf(content: Content, witness: Witness | undefined): RequestBody {
  if (content.kind === 'held') return new Uint8Array(content.bytes)
  if (content.kind === 'stream') return { once: watched(content.pieces, 0, witness) }
  return { size: content.size, open: () => watched(piecesOfFile(content.file, 0, content.size), 0, witness) }
}

function sizeOf(content: Exclude<Content, { kind: 'stream' }>): number {
  return content.kind === 'held' ? content.bytes.length : content.size
}

async function* bytesOnce(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.length > 0) yield bytes
}

const readStoredFile: Read<StoredFile> = (value, where) => {
  const members = new Members(value, where)
  return { digest: members.one('digest', readDigest), size: members.one('size', readCount) }
}
