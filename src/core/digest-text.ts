import type { Brand } from './brand.ts'
import { DigestInvalidError } from './errors.ts'

/** Names bytes: `sha256:<64 hex>` or `sha512:<128 hex>`, lower case (OCI image specification 1.1, descriptor.md "Digests"). */
export type Digest = Brand<string, 'Digest'>

const DIGEST_PATTERN = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/
/** How a digest is spelled, as the source of a regular expression: for documents. */
export const DIGEST_SPELLING: string = DIGEST_PATTERN.source

/**
 * Reads a digest. Apart from what computes them, so that browsers can use it too.
 * @throws DigestInvalidError when it is not lower-case `sha256:…` or `sha512:…` of the right length
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new DigestInvalidError(`not a digest: ${JSON.stringify(text.slice(0, 160))} (expected sha256:<64 hex> or sha512:<128 hex>, lower case)`)
}

function isDigest(text: string): text is Digest {
  return DIGEST_PATTERN.test(text)
}
