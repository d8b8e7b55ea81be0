import { createHash } from 'node:crypto'
import { parseDigest } from '../core/digest-text.ts'
import type { Sha256 } from './sha256.ts'

/** Hashes with Node's own code. */
export function nodeSha256(): Sha256 {
  const hash = createHash('sha256')
  let hex: string | undefined
  return {
    update: (bytes) => void hash.update(bytes),
    digest() {
      hex ??= hash.digest('hex')
      return parseDigest(`sha256:${hex}`)
    },
  }
}
