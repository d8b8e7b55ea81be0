import { parseDigest, type Digest } from '../core/digest-text.ts'
import { DigestMismatchError, DocumentInvalidError, InputInvalidError, ServerUnreachableError } from '../core/errors.ts'
import type { PackageId } from '../core/name.ts'
import type { ReadRange } from '../store/interface.ts'
import type { Connection } from './connection.ts'
import { requestPath } from './request-url.ts'
import { resumedStream } from './resumed-stream.ts'
import { loadSha256, type NewSha256 } from './sha256.ts'

/** What an answer with bytes of a file says about them. `end` is exclusive. */
interface Portion {
  readonly digest: Digest
  readonly start: number
  readonly end: number
  readonly response: Response
}

const UNSATISFIABLE = 416

/**
 * Streams a file of a package, or a range of it. A connection that breaks off is made again where it was (Range and If-Range). Of a whole file the digest is
 * checked when it ends; the server checks every piece anyway.
 * @throws InputInvalidError for a range beyond the file; DigestMismatchError; DamagedError
 */
export async function* downloadFile(
  connection: Connection,
  id: PackageId,
  path: string,
  { start = 0, end, signal }: ReadRange = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const bound of [start, end ?? 0]) {
    if (!Number.isSafeInteger(bound) || bound < 0) throw new InputInvalidError(`a range counts whole bytes from 0, not ${String(bound)}`)
  }
  if (end !== undefined && end < start) throw new InputInvalidError(`a range ends at ${end} before it starts at ${start}`)
  const newSha256 = await loadSha256()
  const download = new Download(connection, id, path, end, signal)
  const pieces = resumedStream(connection, { open: (position) => download.open(position), lengthOf: ({ length }) => length, start, signal })
  yield* start === 0 && end === undefined ? checked(pieces, newSha256, () => download.digest, path) : pieces
}

/** Passes pieces on, and compares what they hash to when they end. @throws DigestMismatchError */
export async function* checked(
  pieces: AsyncIterable<Uint8Array>,
  newSha256: NewSha256,
  expected: () => Digest | undefined,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = newSha256()
  for await (const piece of pieces) {
    hash.update(piece)
    yield piece
  }
  const [digest, wanted] = [hash.digest(), expected()]
  // Of a package that came from elsewhere, a file may be named by SHA-512.
  if (wanted === undefined || digest === wanted || !wanted.startsWith('sha256:')) return
  throw new DigestMismatchError(`'${path}' arrived as ${digest}, but is ${wanted}`, { detail: { path, expected: wanted, actual: digest } })
}

class Download {
  digest: Digest | undefined
  readonly #connection: Connection
  readonly #path: string
  readonly #url: string
  readonly #end: number | undefined
  readonly #signal: AbortSignal | undefined

  /** @param end inclusive; undefined: to the end of the file */
  constructor(connection: Connection, id: PackageId, path: string, end: number | undefined, signal: AbortSignal | undefined) {
    this.#connection = connection
    this.#path = path
    this.#url = requestPath(['packages', id, 'files', ...path.split('/')])
    this.#end = end
    this.#signal = signal
  }

  /** The bytes from a position on, up to the end of what was asked for. */
  async open(position: number): Promise<AsyncIterable<Uint8Array>> {
    const portion = await this.#connection.call(
      {
        method: 'GET',
        path: this.#url,
        headers: { 'accept-encoding': 'identity', ...this.#rangeFrom(position) },
        signal: this.#signal,
        alsoAnswers: [UNSATISFIABLE],
      },
      (response) => this.#portionOf(response, position),
    )
    return portion === undefined ? nothing() : this.#bytesOf(portion, position)
  }

  #rangeFrom(position: number): Readonly<Record<string, string>> {
    if (position === 0 && this.#end === undefined) return {}
    const range = { range: `bytes=${position}-${this.#end ?? ''}` }
    return this.digest === undefined ? range : { ...range, 'if-range': `"${this.digest}"` }
  }

  async #portionOf(response: Response, position: number): Promise<Portion | undefined> {
    if (response.status === UNSATISFIABLE) {
      await this.#connection.held(response)
      const size = Number(/\*\/([0-9]+)$/.exec(response.headers.get('content-range') ?? '')?.[1])
      // Nothing more at the very end is all there is: of an empty file, or behind the last byte that came.
      if (position === size && (position === 0 || this.digest !== undefined)) return undefined
      throw new InputInvalidError(`'${this.#path}' has ${size} bytes; byte ${position} is beyond them`)
    }
    const digest = parseDigest(response.headers.get('etag')?.replaceAll('"', '') ?? '')
    if (this.digest !== undefined && digest !== this.digest) {
      throw new DigestMismatchError(`'${this.#path}' is ${digest} now, and was ${this.digest} when its reading began`)
    }
    this.digest = digest
    if (response.status === 206) return { digest, ...contentRange(response), response }
    // Whatever lies between may leave ranges aside.
    return { digest, start: 0, end: Number(response.headers.get('content-length') ?? Number.NaN), response }
  }

  async *#bytesOf({ start, end, response }: Portion, position: number): AsyncGenerator<Uint8Array, void, undefined> {
    const wantedEnd = this.#end === undefined ? end : Math.min(end, this.#end + 1)
    let at = start
    for await (const piece of this.#connection.pieces(response, this.#signal)) {
      const from = Math.max(0, position - at)
      const until = Number.isNaN(wantedEnd) ? piece.length : Math.min(piece.length, wantedEnd - at)
      at += piece.length
      if (from < until) yield from === 0 && until === piece.length ? piece : piece.subarray(from, until)
      if (at >= wantedEnd) return
    }
    if (at < wantedEnd) throw new ServerUnreachableError(`the connection ended after byte ${at} of '${this.#path}'`)
  }
}

function contentRange(response: Response): { readonly start: number; readonly end: number } {
  const [, first, last] = /^bytes ([0-9]+)-([0-9]+)\//.exec(response.headers.get('content-range') ?? '') ?? []
  if (first === undefined || last === undefined) throw new DocumentInvalidError("the server's answer has no proper Content-Range")
  return { start: Number(first), end: Number(last) + 1 }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
