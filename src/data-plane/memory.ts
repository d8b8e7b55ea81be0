/**
 * Frees bytes at once that nobody will look at again. Left to the garbage collector they pile up: it looks at large buffers only after 64 MiB of new
 * ones. A view of a part of a buffer is left alone, for others may look at the rest; so is an empty one, which many may share.
 */
export function free(bytes: Uint8Array): void {
  const { buffer } = bytes
  const isWhole = bytes.byteLength > 0 && bytes.byteLength === buffer.byteLength
  if (isWhole && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
