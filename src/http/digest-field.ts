import { type Digest, sha256Digest, SHA256_BYTES } from '../core/digest.ts'
import { DigestInvalidError } from '../core/errors.ts'

const MEMBER = /^\s*([a-z0-9*_.-]+)=:([A-Za-z0-9+/]*={0,2}):\s*(?:;.*)?$/

/**
 * Reads `Repr-Digest` and `Content-Digest` (RFC 9530). Algorithms other than SHA-256 are ignored, as the RFC asks for.
 * @returns what SHA-256 the bytes must have, if one was announced
 * @throws DigestInvalidError when a field is malformed, or two fields announce different digests
 */
export function announcedDigest(...fields: readonly (string | undefined)[]): Digest | undefined {
  const digests = fields.flatMap((field) => (field === undefined ? [] : field.split(',').flatMap(sha256Of)))
  const [first, ...others] = digests
  if (others.some((other) => other !== first)) throw new DigestInvalidError('the digest fields of the request announce different digests')
  return first
}

/** Writes a digest field. */
export function digestField(digest: Digest): string {
  const [algorithm, hex = ''] = digest.split(':')
  return `${algorithm === 'sha256' ? 'sha-256' : 'sha-512'}=:${Buffer.from(hex, 'hex').toString('base64')}:`
}

function sha256Of(member: string): readonly Digest[] {
  const [, algorithm, value] = MEMBER.exec(member) ?? []
  if (algorithm === undefined || value === undefined) {
    throw new DigestInvalidError(`not a member of a digest field: '${member.trim().slice(0, 100)}' (as in sha-256=:…base64…:)`)
  }
  if (algorithm !== 'sha-256') return []
  const raw = Buffer.from(value, 'base64')
  if (raw.length !== SHA256_BYTES) throw new DigestInvalidError(`a SHA-256 has ${SHA256_BYTES} bytes, the digest field ${raw.length}`)
  return [sha256Digest(raw)]
}
