import { createHash } from 'node:crypto'

/** Contents there are. */
export const SOAK_CONTENTS = 300

/** The bytes of a content number. They do not compress; one in twelve is an object of its own. */
export function soakContent(content: number): Uint8Array {
  const size = content % 12 === 0 ? 2_300_000 : 1_000 + content * 150
  const block = createHash('sha512').update(String(content)).digest()
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += 64) {
    block.copy(bytes, at)
    bytes.writeUInt32LE(at, at % (size - 4))
  }
  return bytes
}
