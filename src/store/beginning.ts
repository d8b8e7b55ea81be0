/**
 * Looks at the first bytes of a stream without taking them from it.
 * @returns at most `length` bytes, fewer where the stream is shorter (more where it came so); and the whole stream, to be read instead of the given one
 */
export async function beginningOf(
  source: AsyncIterable<Uint8Array>,
  length: number,
): Promise<{ readonly head: Buffer; readonly all: AsyncGenerator<Uint8Array, void, undefined> }> {
  const iterator = source[Symbol.asyncIterator]()
  let head: Buffer = Buffer.alloc(0)
  while (head.length < length) {
    const next = await iterator.next()
    if (next.done === true) break
    head = head.length === 0 ? Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength) : Buffer.concat([head, next.value])
  }
  return { head, all: resumed(head, iterator) }
}

async function* resumed(head: Uint8Array, source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (head.length > 0) yield head
    for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value
  } finally {
    await source.return?.()
  }
}
