import type { IncomingHttpHeaders } from 'node:http'
import { InputInvalidError } from '../core/errors.ts'
import type { CreateUpload, UploadChecksum, UploadInfo } from '../store/upload-interface.ts'
import { ProtocolError } from './problem.ts'

/**
 * The header fields of the protocol for resumable uploads tus 1.0.0 (https://tus.io/protocols/resumable-upload). Pure; the fields of a request that
 * may be there only once were checked before.
 */

/** The version that is spoken here. */
export const TUS_VERSION = '1.0.0'
/** Extensions of the protocol that are understood. */
export const TUS_EXTENSIONS = 'creation,creation-with-upload,creation-defer-length,checksum,expiration,termination'
/** Algorithms of `Upload-Checksum`, in the order of preference. */
export const TUS_CHECKSUMS = 'sha256,sha1'
/** The media type of bytes for an upload. */
export const OFFSET_OCTETS = 'application/offset+octet-stream'
/** The longest upload that is taken unless the server is told otherwise: 5 TiB. */
export const MAX_UPLOAD_BYTES: number = 5 * 1024 ** 4

/** Lengths of raw hashes, bytes. */
const HASH_BYTES = { sha1: 20, sha256: 32 } as const
const METADATA_KEYS = ['packageId', 'path', 'filetype', 'digest', 'executable'] as const

/** What clients of the protocol send by themselves, and means nothing here. */
const IGNORED_KEYS: readonly string[] = ['filename', 'name', 'type']

type MetadataKey = (typeof METADATA_KEYS)[number]

/** Refuses another version of the protocol, or none. @throws ProtocolError 412 */
export function requireTusVersion(headers: IncomingHttpHeaders): void {
  const version = headers['tus-resumable']
  if (version === TUS_VERSION) return
  const found =
    version === undefined
      ? 'the request does not say which version of tus it speaks'
      : `version ${String(version).slice(0, 20)} of tus is not spoken here`
  throw new ProtocolError('precondition_failed', `${found}; send Tus-Resumable: ${TUS_VERSION}`, { 'Tus-Version': TUS_VERSION })
}

/** The length that a new upload is said to have; undefined when it is told later. @throws ProtocolError 400 */
export function announcedLength(headers: IncomingHttpHeaders): number | undefined {
  const length = byteCount(headers, 'upload-length')
  const deferred = headers['upload-defer-length']
  if (deferred !== undefined && deferred !== '1') throw malformed('Upload-Defer-Length is 1 or not there')
  if ((length === undefined) === (deferred === undefined)) throw malformed('an upload has either an Upload-Length or Upload-Defer-Length: 1')
  return length
}

/** A header field that counts bytes. @throws ProtocolError 400 */
export function byteCount(headers: IncomingHttpHeaders, name: 'upload-length' | 'upload-offset'): number | undefined {
  const value = headers[name]
  if (value === undefined) return undefined
  if (typeof value === 'string' && /^(?:0|[1-9][0-9]{0,15})$/.test(value) && Number.isSafeInteger(Number(value))) return Number(value)
  throw malformed(`${name} is a number of bytes in decimal digits`)
}

/** What the bytes of a request must hash to. @throws ProtocolError 400 */
export function announcedChecksum(headers: IncomingHttpHeaders): UploadChecksum | undefined {
  const field = headers['upload-checksum']
  if (field === undefined) return undefined
  const [algorithm, encoded = '', ...rest] = typeof field === 'string' ? field.split(' ') : []
  if (algorithm !== 'sha1' && algorithm !== 'sha256') throw malformed(`Upload-Checksum starts with one of ${TUS_CHECKSUMS}`)
  const value = base64Bytes(encoded)
  if (rest.length === 0 && value?.length === HASH_BYTES[algorithm]) return { algorithm, value }
  throw malformed(`Upload-Checksum has the ${HASH_BYTES[algorithm]} bytes of a ${algorithm} in base64`)
}

/**
 * Reads `Upload-Metadata`: keys and base64 values. A key that means nothing here is refused, since it may be a digest that was misspelt.
 * @throws ProtocolError 400; InputInvalidError
 */
export function parseUploadMetadata(field: string | readonly string[] | undefined): Omit<CreateUpload, 'length'> {
  const values = new Map<MetadataKey, string>()
  for (const pair of field === undefined || field === '' ? [] : String(field).split(',')) {
    const [name = '', encoded = '', ...rest] = pair.trim().split(' ')
    if (IGNORED_KEYS.includes(name)) continue
    const key = METADATA_KEYS.find((known) => known === name)
    if (key === undefined) throw new InputInvalidError(`Upload-Metadata has the key '${name.slice(0, 100)}'; known are ${METADATA_KEYS.join(', ')}`)
    if (values.has(key)) throw malformed(`Upload-Metadata has the key ${key} twice`)
    const value = textOf(base64Bytes(encoded))
    if (rest.length > 0 || value === undefined) throw malformed(`the value of ${key} in Upload-Metadata is not UTF-8 in base64`)
    values.set(key, value)
  }
  return {
    ...textMember('packageId', values.get('packageId')),
    ...textMember('path', values.get('path')),
    ...textMember('mediaType', values.get('filetype')),
    ...textMember('digest', values.get('digest')),
    ...executableOf(values.get('executable')),
  }
}

/** Writes `Upload-Metadata` as an upload was made with. */
export function formatUploadMetadata({ packageId, path, mediaType, expectedDigest, executable }: UploadInfo): string | undefined {
  const values: Readonly<Record<MetadataKey, string | undefined>> = {
    packageId,
    path,
    filetype: mediaType,
    digest: expectedDigest,
    executable: executable === true ? 'true' : undefined,
  }
  const pairs = METADATA_KEYS.flatMap((key) => (values[key] === undefined ? [] : [`${key} ${Buffer.from(values[key]).toString('base64')}`]))
  return pairs.length === 0 ? undefined : pairs.join(',')
}

/** The method that a request means (a proxy on its way may let none but POST through). */
export function meantMethod(headers: IncomingHttpHeaders): string {
  const override = headers['x-http-method-override']
  return typeof override === 'string' ? override.toUpperCase() : 'POST'
}

function textMember<Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> {
  // Sound: an object with the one member that the type names.
  return value === undefined ? {} : ({ [key]: value } as Record<Key, string>)
}

function executableOf(value: string | undefined): { readonly executable?: boolean } {
  if (value === undefined) return {}
  if (value !== 'true' && value !== 'false') throw new InputInvalidError('executable in Upload-Metadata is true or false')
  return { executable: value === 'true' }
}

/** Decodes base64 with its padding and nothing else. */
function base64Bytes(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  try {
    return bytes === undefined ? undefined : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function malformed(message: string): ProtocolError {
  return new ProtocolError('malformed_request', message)
}
