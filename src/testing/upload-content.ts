import { createHash } from 'node:crypto'

/** The bytes of an upload by number, and where the calls that send it end; one in four has parts that are objects of their own. */
export function uploadContent(seed: number): { readonly content: Buffer; readonly cuts: readonly number[] } {
  const block = createHash('sha512').update(`upload ${seed}`).digest()
  const length = seed % 4 === 0 ? 6_000_000 + seed : 1 + (seed % 7) * 3_001
  const content = Buffer.alloc(length, block)
  for (let index = 0; index < length; index += 4_096) content.writeUInt8(index % 251, index)
  const calls = 1 + (seed % 5)
  const cuts = Array.from({ length: calls }, (_, index) => Math.ceil((length * (index + 1)) / calls))
  return { content, cuts: [...new Set(cuts)] }
}

/** Bytes as they come from a network. */
export async function* piecesOfUpload(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < content.length; offset += 65_536) yield content.subarray(offset, offset + 65_536)
}
