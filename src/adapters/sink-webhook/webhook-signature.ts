import { createHmac } from 'node:crypto'
import { InputInvalidError } from '../../core/errors.ts'

const PREFIX = 'whsec_'
/** Length of a key, bytes, as the specification wants it. */
const KEY_BYTES = { least: 24, most: 64 }

/** The headers of a signed message, by the rules of Standard Webhooks (https://www.standardwebhooks.com). */
export interface SignedHeaders {
  readonly 'webhook-id': string
  /** Seconds since 1970. */
  readonly 'webhook-timestamp': string
  readonly 'webhook-signature': string
}

/** Reads a secret: `whsec_` and 24 to 64 bytes in base64. @throws InputInvalidError, which does not show it */
export function parseWebhookSecret(text: string): Uint8Array {
  const encoded = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : ''
  const key = Buffer.from(encoded, 'base64')
  const isExact = key.toString('base64').replace(/=+$/, '') === encoded.replace(/=+$/, '')
  if (isExact && key.length >= KEY_BYTES.least && key.length <= KEY_BYTES.most) return key
  throw new InputInvalidError(`the secret of a webhook is ${PREFIX} and ${KEY_BYTES.least} to ${KEY_BYTES.most} bytes in base64`)
}

/** Signs a message. @param seconds when it is sent */
export function signMessage(key: Uint8Array, id: string, seconds: number, body: Uint8Array): SignedHeaders {
  const mac = createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${mac}` }
}
