import { createHash, type Hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sha256Digest } from '../core/digest.ts'
import { listParts } from '../registry/uploads.ts'
import type { StoreContext } from './context.ts'
import { PackageReader } from './package-reader.ts'

/** Uploads whose digests so far are kept. */
const KEPT = 4_096
/** Parts that are looked up together. */
const PAGE = 1_000
/** How long it is hashed before others get their turn, ms. */
const SLICE_MS = 1

/** The SHA-256 of the first bytes of an upload, so far. It only grows; what counts in an upload never changes. */
export class PrefixDigest {
  readonly #hash: Hash
  #size: number

  constructor(hash: Hash = createHash('sha256'), size = 0) {
    this.#hash = hash
    this.#size = size
  }

  /** Bytes that went in. */
  get size(): number {
    return this.#size
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#size += bytes.length
  }

  /** The same, to be continued on its own. */
  fork(): PrefixDigest {
    return new PrefixDigest(this.#hash.copy(), this.#size)
  }

  /** The digest of these bytes, 32 raw bytes. */
  raw(): Uint8Array {
    return this.#hash.copy().digest()
  }
}

/**
 * Digests of uploads under way, by their rows, so that nothing is hashed twice while this process lives; the one that was not used for longest is
 * forgotten first. What is not known is made again from what is stored.
 */
export class UploadDigests {
  readonly #known = new Map<number, PrefixDigest>()

  /** The longest prefix that is known. */
  get(upload: number): PrefixDigest {
    return this.#known.get(upload) ?? new PrefixDigest()
  }

  set(upload: number, digest: PrefixDigest): void {
    this.#known.delete(upload)
    this.#known.set(upload, digest)
    const [oldest] = this.#known.keys()
    if (this.#known.size > KEPT && oldest !== undefined) this.#known.delete(oldest)
  }

  delete(upload: number): void {
    this.#known.delete(upload)
  }
}

/** Hashes blocks, a few at a time. */
export async function hashBlocks(blocks: readonly Uint8Array[], hashes: readonly { update(bytes: Uint8Array): unknown }[]): Promise<void> {
  let pause = performance.now() + SLICE_MS
  for (const block of blocks) {
    for (const hash of hashes) hash.update(block)
    if (performance.now() < pause) continue
    await nextTurn()
    pause = performance.now() + SLICE_MS
  }
}

/**
 * Reads the parts of an upload that are not in the digest yet, checked, up to `end` (bytes), and takes them in.
 * @param keep is told from time to time how far it is, so that what was read is not read again when this stops
 * @throws AbortedError; DamagedError
 */
export async function caughtUp(
  context: StoreContext,
  upload: number,
  prefix: PrefixDigest,
  { end, keep, signal }: { readonly end: number; readonly keep: (digest: PrefixDigest) => void; readonly signal?: AbortSignal },
): Promise<PrefixDigest> {
  const reader = new PackageReader(context)
  let longer = prefix
  for (let after = -1; longer.size < end;) {
    const page = await listParts(context.registry.reader, upload, after, PAGE)
    for (const part of page) {
      if (part.start + part.size <= longer.size || part.start >= end) continue
      const digest = sha256Digest(part.digest)
      const next = longer.fork()
      const range = { start: longer.size - part.start, ...(signal === undefined ? {} : { signal }) }
      for await (const piece of reader.read(digest, await reader.locate(digest), range)) next.update(piece)
      longer = next
      keep(longer)
    }
    const last = page.at(-1)
    if (last === undefined) throw new TypeError('an upload has fewer parts than bytes')
    after = last.position
  }
  return longer
}
