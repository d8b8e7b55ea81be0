import { createHash, type Hash } from 'node:crypto'
import { DigestMismatchError, NotFoundError, OffsetConflictError } from '../core/errors.ts'
import type { IngestSource, Resolve } from '../ports/data-plane.ts'
import { piecesOf } from '../ports/source.ts'
import { findPlacedChunk } from '../registry/chunks.ts'
import { hold } from '../registry/holders.ts'
import type { Session } from '../registry/statement.ts'
import { uploadState } from '../registry/tables.ts'
import { addPart, advanceUpload, getUpload, type UploadRow } from '../registry/uploads.ts'
import type { StoreContext } from './context.ts'
import { nameStored, type Stored } from './intake.ts'
import type { UploadChecksum } from './upload-interface.ts'
import { caughtUp, hashBlocks, type PrefixDigest } from './upload-digests.ts'
import { cutSegments, type Segment } from './upload-segments.ts'

/** An upload that nobody touches is kept this long, ms. */
export const UPLOAD_TTL_MS: number = 24 * 3_600_000

/** Segments of one call that are made durable at the same time: one is flushed while the next is written. */
const STORED_AT_ONCE = 2

/** An upload and the right to write to it, until somebody else takes it. */
export interface UploadClaim {
  readonly id: number
  readonly uuid: string
  /** The fencing token. */
  readonly writer: string
  readonly offset: number
  readonly length: number | null
  /** How many parts it has. */
  readonly parts: number
}

/**
 * The fence: every commit of a writer sees that nobody took the upload over.
 * @throws OffsetConflictError when somebody did; NotFoundError when it was given up
 */
export async function assertClaimed(session: Session, { id, uuid, writer }: UploadClaim): Promise<UploadRow> {
  const row = await getUpload(session, id)
  if (row === undefined) throw noUpload(uuid)
  if (row.writer === writer && row.state === uploadState.open) return row
  throw takenOver(row)
}

/** What is told of an upload that is not there, or not the caller's. */
export function noUpload(uuid: string): NotFoundError {
  return new NotFoundError(`no upload '${uuid}': it was given up, expired, or never was`)
}

/** What a writer is told that was replaced by a newer one. */
function takenOver({ uuid, offset }: Pick<UploadRow, 'uuid' | 'offset'>): OffsetConflictError {
  return new OffsetConflictError(`another writer took upload ${uuid} over; it stands at ${offset}`, { detail: { offset } })
}

/** How bytes are added. */
export interface AppendOptions {
  readonly checksum: UploadChecksum | undefined
  readonly signal: AbortSignal | undefined
  /** Aborts when a newer writer wants the upload: what is in memory is dropped then. */
  readonly turn: AbortSignal
}

/**
 * Adds what arrives to an upload, part after part: while some are stored the next is received. Parts count when they are durable or, with a checksum, all
 * together once that is right.
 * @returns how far the upload is, and how many parts it has
 * @throws OffsetConflictError; DigestMismatchError; LimitExceededError; what the source throws, when all that arrived before is durable
 */
export async function appendToUpload(
  context: StoreContext,
  claim: UploadClaim,
  source: AsyncIterable<Uint8Array>,
  { checksum, signal, turn }: AppendOptions,
): Promise<{ readonly offset: number; readonly parts: number }> {
  const stop = new AbortController()
  const onTurn = (): void => stop.abort(turn.reason)
  turn.addEventListener('abort', onTurn)
  if (turn.aborted) onTurn()
  const writing = new UploadWriting(context, claim, checksum)
  const { memory } = context.uploadWork
  const room = claim.length === null ? undefined : claim.length - claim.offset
  const chasing = writing.chase(stop.signal)
  const segments = cutSegments(piecesOf(piecesOf(source, signal), stop.signal), { start: claim.offset, room, memory })
  const underWay: Promise<void>[] = []
  let next = handled(segments.next())
  try {
    for (;;) {
      const step = await next
      if (step.done === true) break
      if (turn.aborted) throw takenOver(claim)
      next = handled(segments.next())
      underWay.push(handled(writing.store(step.value)))
      if (underWay.length === STORED_AT_ONCE) await underWay.shift()
    }
    for (const storing of underWay) await storing
    return await writing.finish()
  } catch (error) {
    await Promise.allSettled(underWay)
    throw turn.aborted ? takenOver({ uuid: claim.uuid, offset: writing.offset }) : error
  } finally {
    turn.removeEventListener('abort', onTurn)
    stop.abort()
    await drained(next, segments)
    await chasing
  }
}

/** Ends the segments, the one that may be on its way included. */
async function drained(next: Promise<IteratorResult<Segment, void>>, segments: AsyncGenerator<Segment, void, undefined>): Promise<void> {
  const step = await next.catch(() => undefined)
  if (step?.done === false) step.value.release()
  await segments.return()
}

/** The parts that one call adds. */
class UploadWriting {
  readonly #context: StoreContext
  readonly #claim: UploadClaim
  readonly #checksum: UploadChecksum | undefined
  readonly #sums: readonly Hash[]
  /** What the call wrote, and what of it counts. */
  #end: number
  #offset: number
  #parts: number
  /** The digest of what was recorded, when it is known without reading. */
  #digest: PrefixDigest | undefined
  /** Segments are recorded and hashed in order, this one last. */
  #recorded: Promise<void> = Promise.resolve()
  #hashed: Promise<PrefixDigest | undefined> = Promise.resolve(undefined)

  constructor(context: StoreContext, claim: UploadClaim, checksum: UploadChecksum | undefined) {
    this.#context = context
    this.#claim = claim
    this.#checksum = checksum
    this.#sums = checksum === undefined ? [] : [createHash(checksum.algorithm)]
    this.#end = claim.offset
    this.#offset = claim.offset
    this.#parts = claim.parts
  }

  /** What counts, in bytes. */
  get offset(): number {
    return this.#offset
  }

  /** After a restart: hashes what counts from what is stored, while more arrives. Never rejects; what it did not reach is read at the end. */
  async chase(signal: AbortSignal): Promise<void> {
    const { digests } = this.#context.uploadWork
    const { id } = this.#claim
    try {
      while (digests.get(id).size < this.#offset && !signal.aborted) {
        await caughtUp(this.#context, id, digests.get(id), { end: this.#offset, keep: (digest) => digests.set(id, digest), signal })
      }
    } catch {
      // Whoever completes the upload meets the same failure and reports it.
    }
  }

  /** Makes a segment durable and, when those before it count, counts it. Gives its memory back in any case. */
  store(segment: Segment): Promise<void> {
    const before = this.#recorded
    const store = async (): Promise<void> => {
      const [storing, hashing] = await Promise.allSettled([storePart(this.#context, this.#claim, segment), this.#hash(segment)])
      segment.release()
      await before
      if (storing.status === 'rejected') throw storing.reason
      await this.#record(segment, storing.value)
      this.#digest = hashing.status === 'fulfilled' ? hashing.value : undefined
      if (this.#checksum === undefined) this.#count()
    }
    this.#recorded = handled(store())
    return this.#recorded
  }

  /** One segment after the other. @returns the digest up to its end, if that up to its start is known */
  #hash({ start, blocks }: Segment): Promise<PrefixDigest | undefined> {
    const before = this.#hashed
    const hash = async (): Promise<PrefixDigest | undefined> => {
      const prefix = (await before) ?? this.#context.uploadWork.digests.get(this.#claim.id)
      const longer = prefix.size === start ? prefix.fork() : undefined
      await hashBlocks(blocks, longer === undefined ? this.#sums : [...this.#sums, longer])
      return longer
    }
    this.#hashed = hash()
    return this.#hashed
  }

  async #record({ start, size }: Segment, part: DurablePart): Promise<void> {
    const { id } = this.#claim
    const end = start + size
    await this.#context.registry.write('upload-part', async (session) => {
      await assertClaimed(session, this.#claim)
      const chunk = await part.name(session)
      await hold(session, 'upload', id, chunk)
      await addPart(session, { upload: id, position: this.#parts, chunk, start })
      if (this.#checksum === undefined) await advanceUpload(session, id, end, UPLOAD_TTL_MS)
    })
    this.#end = end
    this.#parts += 1
  }

  /** Counts what waited for the checksum. @throws DigestMismatchError */
  async finish(): Promise<{ readonly offset: number; readonly parts: number }> {
    const [sum] = this.#sums
    if (this.#checksum !== undefined && sum !== undefined) {
      const { algorithm, value } = this.#checksum
      const found = sum.digest()
      if (!found.equals(value)) {
        const [expected, actual] = [Buffer.from(value).toString('hex'), found.toString('hex')]
        throw new DigestMismatchError(`the ${algorithm} of the bytes that arrived is ${actual}, announced was ${expected}; none of them were kept`, {
          detail: { algorithm, expected, actual },
        })
      }
      await this.#context.registry.write('upload-count', async (session) => {
        await assertClaimed(session, this.#claim)
        await advanceUpload(session, this.#claim.id, this.#end, UPLOAD_TTL_MS)
      })
      this.#count()
    }
    return { offset: this.#offset, parts: this.#parts }
  }

  #count(): void {
    this.#offset = this.#end
    if (this.#digest !== undefined) this.#context.uploadWork.digests.set(this.#claim.id, this.#digest)
  }
}

/** Bytes that are durable; `name` gives their row in a transaction that sees that they still are. */
interface DurablePart {
  readonly name: (session: Session) => Promise<number>
}

/** Makes bytes durable, unless they are: then the upload holds them at once (I2). */
export async function storePart(context: StoreContext, claim: UploadClaim, { blocks }: Pick<Segment, 'blocks'>): Promise<DurablePart> {
  let held: number | undefined
  const resolve: Resolve = (blobs) =>
    context.registry.write('upload-attach', async (session) => {
      await assertClaimed(session, claim)
      const answers: boolean[] = []
      for (const { digest, size } of blobs) {
        const placed = await findPlacedChunk(session, digest)
        const isHere = placed?.size === size
        if (isHere) {
          await hold(session, 'upload', claim.id, placed.id)
          held = placed.id
        }
        answers.push(isHere)
      }
      return answers
    })
  const stored: Stored[] = []
  for await (const batch of context.dataPlane.ingestMany([{ source: sourceOf(blocks) }], { resolve })) {
    for (const outcome of batch) {
      if ('error' in outcome) throw outcome.error
      stored.push(outcome)
    }
  }
  return {
    name: async (session) => {
      if (held !== undefined) return held
      const [chunk] = await nameStored(context, session, stored)
      if (chunk === undefined) throw new TypeError('storing a part had no outcome')
      return chunk
    },
  }
}

function sourceOf(blocks: readonly Uint8Array[]): IngestSource {
  const [first = new Uint8Array(), ...others] = blocks
  return others.length === 0 ? { kind: 'bytes', bytes: first } : { kind: 'stream', stream: streamOf(blocks) }
}

async function* streamOf(blocks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* blocks
}

/** The promise itself; its failure counts as handled until it is awaited. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
