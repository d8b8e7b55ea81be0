/** A JSON body and what says so. */
export function jsonBody(value: object): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

/** A key by which the server knows a request again that is sent twice because its answer was lost. */
export function idempotencyKey(): Readonly<Record<string, string>> {
  return { 'idempotency-key': randomKey() }
}

/** Not `randomUUID`, which browsers keep for pages that came over HTTPS. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
