import { AlreadyExistsError, ClosedError, ObjectMissingError } from '../../core/errors.ts'
import { cutRange, PIECE_BYTES } from '../../ports/backend.ts'
import type { AppendBackend, BackendCapabilities, ByteRange, ObjectAppender, ObjectInfo, ObjectKey } from '../../ports/backend.ts'
import { piecesOf } from '../../ports/source.ts'
import type { ByteSource } from '../../ports/source.ts'

/** A backend for tests and trials; its objects end with the process. */
export interface MemoryBackend extends AppendBackend {
  /** The stored bytes themselves: a test may look at them, flip some, or remove an object behind the store's back. */
  readonly objects: Map<ObjectKey, Uint8Array>
}

/** Opens an empty backend in memory. */
export function openMemoryBackend(): MemoryBackend {
  return new ObjectsInMemory()
}

class ObjectsInMemory implements MemoryBackend {
  readonly capabilities: BackendCapabilities = { append: true, multipart: false, presign: false, persistent: false }
  readonly objects: Map<ObjectKey, Uint8Array> = new Map()
  /** Keys that are being put. */
  readonly #reserved = new Set<ObjectKey>()
  #closed = false

  async put(key: ObjectKey, source: ByteSource, options: { readonly signal?: AbortSignal } = {}): Promise<ObjectInfo> {
    this.#assertOpen()
    this.#assertFree(key)
    this.#reserved.add(key)
    try {
      const pieces: Uint8Array[] = []
      for await (const piece of piecesOf(source, options.signal)) pieces.push(Uint8Array.from(piece))
      const bytes = Buffer.concat(pieces)
      this.objects.set(key, bytes)
      return { key, size: bytes.length }
    } finally {
      this.#reserved.delete(key)
    }
  }

  async *get(key: ObjectKey, range?: ByteRange): AsyncGenerator<Uint8Array> {
    this.#assertOpen()
    const bytes = this.objects.get(key)
    if (bytes === undefined) throw new ObjectMissingError(`there is no object ${key}`)
    const { start, end } = cutRange(range, bytes.length)
    for (let position = start; position < end; position += PIECE_BYTES) {
      // A Buffer's slice() would share the memory.
      yield new Uint8Array(bytes.subarray(position, Math.min(position + PIECE_BYTES, end)))
    }
  }

  async head(key: ObjectKey): Promise<ObjectInfo | undefined> {
    this.#assertOpen()
    const bytes = this.objects.get(key)
    return bytes === undefined ? undefined : { key, size: bytes.length }
  }

  async delete(key: ObjectKey): Promise<void> {
    this.#assertOpen()
    this.objects.delete(key)
  }

  async *list(prefix: string, after?: ObjectKey): AsyncGenerator<ObjectInfo> {
    this.#assertOpen()
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
    for (const key of keys.toSorted((a, b) => (a < b ? -1 : 1))) {
      const bytes = this.objects.get(key)
      if (bytes !== undefined) yield { key, size: bytes.length }
    }
  }

  async createAppender(key: ObjectKey): Promise<ObjectAppender> {
    this.#assertOpen()
    this.#assertFree(key)
    this.objects.set(key, new Uint8Array(0))
    return new MemoryAppender(key, this.objects)
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #assertFree(key: ObjectKey): void {
    if (this.objects.has(key) || this.#reserved.has(key)) throw new AlreadyExistsError(`${key} exists; keys are never used twice`)
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError('the backend is closed')
  }
}

class MemoryAppender implements ObjectAppender {
  readonly key: ObjectKey
  readonly #objects: Map<ObjectKey, Uint8Array>
  /** Room for more than there is: an object that grows by small pieces is not copied each time. */
  #room = new Uint8Array(4096)
  #size = 0
  #closed = false

  constructor(key: ObjectKey, objects: Map<ObjectKey, Uint8Array>) {
    this.key = key
    this.#objects = objects
  }

  get size(): number {
    return this.#size
  }

  async append(pieces: readonly Uint8Array[]): Promise<void> {
    this.#assertOpen()
    for (const piece of pieces) {
      this.#reserve(this.#size + piece.length)
      this.#room.set(piece, this.#size)
      this.#size += piece.length
    }
    if (this.#objects.has(this.key)) this.#objects.set(this.key, this.#room.subarray(0, this.#size))
  }

  async flush(): Promise<void> {
    this.#assertOpen()
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #reserve(size: number): void {
    if (size <= this.#room.length) return
    const room = new Uint8Array(Math.max(size, this.#room.length * 2))
    room.set(this.#room.subarray(0, this.#size))
    this.#room = room
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError(`${this.key} is closed`)
  }
}
