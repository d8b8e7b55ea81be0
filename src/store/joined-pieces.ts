/** Small pieces are put together into pieces of this size; larger ones are passed on as they are. */
const PIECE_BYTES = 256 * 1024
/** From this size on a piece is worth passing on by itself. */
const LARGE_BYTES = 64 * 1024

/** Puts small pieces of a stream together, so that whoever takes them is not asked for every few bytes. Given pieces are copied or passed on. */
export async function* joinedPieces(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let held = Buffer.allocUnsafeSlow(PIECE_BYTES)
  let length = 0
  for await (const piece of pieces) {
    const isLarge = piece.length >= LARGE_BYTES
    if (length > 0 && (isLarge || length + piece.length > PIECE_BYTES)) {
      yield held.subarray(0, length)
      // What was given away belongs to whoever took it.
      held = Buffer.allocUnsafeSlow(PIECE_BYTES)
      length = 0
    }
    if (isLarge) yield piece
    else {
      held.set(piece, length)
      length += piece.length
    }
  }
  if (length > 0) yield held.subarray(0, length)
}
