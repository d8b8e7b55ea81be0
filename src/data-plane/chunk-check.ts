import { sha256, sha256Digest } from '../core/digest.ts'
import { BackendFailedError, DamagedError, ObjectMissingError, StoreError } from '../core/errors.ts'
import type { ChunkLocation } from '../ports/data-plane.ts'
import { decompress } from './compression.ts'
import { view } from './pack-format.ts'

/** The error for bytes that are not what they were. It names the digest, the object and the offset. */
export function damaged(chunk: ChunkLocation, reason: string, cause?: unknown): DamagedError {
  const digest = sha256Digest(chunk.digest)
  return new DamagedError(
    `${digest} is damaged: ${reason} (object ${chunk.key}, offset ${String(chunk.offset)}); store the same bytes again to heal it`,
    {
      cause,
      detail: { digest, key: chunk.key, offset: chunk.offset },
    },
  )
}

/** Decodes the stored bytes of a chunk and checks them. @throws DamagedError */
export function checkedChunk(chunk: ChunkLocation, stored: Uint8Array): Uint8Array {
  if (stored.length !== chunk.storedLength) throw damaged(chunk, 'its object ends too early')
  const bytes = decoded(chunk, stored)
  if (bytes.length !== chunk.size || !view(sha256(bytes)).equals(chunk.digest)) throw damaged(chunk, 'the stored bytes have another digest')
  return bytes
}

function decoded(chunk: ChunkLocation, stored: Uint8Array): Uint8Array {
  if (chunk.codec === 'raw') return stored
  try {
    return decompress(stored, chunk.size)
  } catch (cause) {
    throw damaged(chunk, 'the stored bytes cannot be decompressed', cause)
  }
}

/** The failure of a read as one of the errors a reader may meet, with the digest it concerns. */
export function readFailure(chunk: ChunkLocation, cause: unknown): StoreError {
  if (cause instanceof ObjectMissingError) {
    const digest = sha256Digest(chunk.digest)
    return new ObjectMissingError(`${digest} is lost: ${cause.message}; store the same bytes again to heal it`, {
      cause,
      detail: { digest, key: chunk.key },
    })
  }
  return cause instanceof StoreError ? cause : new BackendFailedError(`the backend failed while it read ${chunk.key}`, { cause })
}
