import { Buffer } from 'node:buffer'
import { readPack } from '../data-plane/pack-reader.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'

/** Everything in a backend that contains some bytes: by itself, or once a pack's entries are decoded. */
export async function objectsWith(backend: Backend, storeId: string, bytes: Uint8Array): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { key } of backend.list('')) {
    const raw = Buffer.concat(await Array.fromAsync(backend.get(key)))
    if (raw.includes(bytes)) found.push(`${key} (raw)`)
    else if (await hasEntryWith(backend, storeId, key, bytes)) found.push(`${key} (decoded)`)
  }
  return found
}

async function hasEntryWith(backend: Backend, storeId: string, key: ObjectKey, bytes: Uint8Array): Promise<boolean> {
  if (!/^[0-9a-f-]{36}\/[0-9a-f-]{36}\/[0-9a-f-]{36}$/.test(key)) return false
  for await (const part of readPack(backend, key, { storeId, wants: () => true, scan: true })) {
    if (part.kind === 'entry' && Buffer.from(part.payload ?? []).includes(bytes)) return true
  }
  return false
}
