import { crc32 } from 'node:zlib'
import { sha256 } from '../core/digest.ts'
import { PackCorruptError, VersionUnsupportedError } from '../core/errors.ts'
import { decompress } from './compression.ts'
import { CODEC, ENTRY_KIND, view } from './pack-format.ts'
import type { PackEntry } from './pack-format.ts'

/**
 * Decodes a payload and checks it: the CRC-32 always, the SHA-256 where the digest is that of the payload (everything but recipes and placements).
 * @throws PackCorruptError; VersionUnsupportedError when it is encrypted or of a codec that this release does not know
 */
export function decodePayload(entry: PackEntry, stored: Uint8Array): Uint8Array {
  if (stored.length !== entry.storedLength || crc32(stored) !== entry.payloadCrc) throw damaged(entry)
  if (entry.keyId !== 0)
    throw new VersionUnsupportedError(`an entry is encrypted with key ${String(entry.keyId)}; this release cannot decrypt: upgrade`)
  const bytes = decode(entry, stored)
  if (entry.kind !== ENTRY_KIND.recipe && entry.kind !== ENTRY_KIND.placement && !view(sha256(bytes)).equals(entry.digest)) throw damaged(entry)
  return bytes
}

function decode(entry: PackEntry, stored: Uint8Array): Uint8Array {
  switch (entry.codec) {
    case CODEC.raw:
      return stored
    case CODEC.zstd:
      return decompress(stored, entry.rawLength)
    default:
      throw new VersionUnsupportedError(`an entry is stored with codec ${String(entry.codec)}, which this release does not know: upgrade`)
  }
}

function damaged(entry: PackEntry): PackCorruptError {
  return new PackCorruptError('the payload of an entry is damaged', { detail: { offset: entry.offset } })
}
