import { createHash } from 'node:crypto'

/** The bytes of a content number; one in ten is an object of its own. */
export function crashContent(content: number): Uint8Array {
  const block = createHash('sha512').update(String(content)).digest()
  return Buffer.concat(Array.from({ length: content % 10 === 0 ? 40_000 : 1 + content * 3 }, () => block))
}
