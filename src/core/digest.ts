import { createHash, hash, type Hash } from 'node:crypto'
import { Buffer } from 'node:buffer'
import { parseDigest, type Digest } from './digest-text.ts'
import { DigestInvalidError } from './errors.ts'

export { parseDigest, type Digest } from './digest-text.ts'

/** The algorithms understood. Everything the store names itself uses `sha256`. */
export type DigestAlgorithm = 'sha256' | 'sha512'

/** Length of a raw SHA-256 in bytes, the form in which the registry and the data plane keep digests. */
export const SHA256_BYTES = 32

/** The algorithm in front of the colon. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512'
}

/** Writes 32 raw bytes as a digest. @throws DigestInvalidError when there are not 32 */
export function sha256Digest(raw: Uint8Array): Digest {
  return parseDigest(`sha256:${hex(raw)}`)
}

/** The 32 raw bytes of a `sha256` digest. @throws DigestInvalidError when it is of another algorithm */
export function rawSha256(digest: Digest): Uint8Array {
  if (algorithmOf(digest) !== 'sha256') throw new DigestInvalidError(`not a sha256 digest: ${digest}`)
  return Buffer.from(digest.slice('sha256:'.length), 'hex')
}

/** Hashes bytes at once; 32 raw bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

/** Hashes bytes at once; the result as users see it. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return parseDigest(`${algorithm}:${hash(algorithm, bytes, 'hex')}`)
}

/** Hashes bytes as they pass by and counts them. */
export class DigestStream {
  readonly #algorithm: DigestAlgorithm
  readonly #hash: Hash
  #raw: Uint8Array | undefined
  #size = 0

  constructor(algorithm: DigestAlgorithm = 'sha256') {
    this.#algorithm = algorithm
    this.#hash = createHash(algorithm)
  }

  /** Bytes seen so far. */
  get size(): number {
    return this.#size
  }

  /** Adds bytes. Not to be called after {@link raw} or {@link digest}, which end the stream. */
  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    this.#size += bytes.byteLength
    return this
  }

  /** Ends the stream, repeatably: the raw hash, 32 or 64 bytes. */
  raw(): Uint8Array {
    this.#raw ??= this.#hash.digest()
    return this.#raw
  }

  /** Ends the stream, repeatably: the digest as users see it. */
  digest(): Digest {
    return parseDigest(`${this.#algorithm}:${hex(this.raw())}`)
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
