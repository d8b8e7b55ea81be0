import { Buffer } from 'node:buffer'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import { PackBuilder } from './pack-builder.ts'
import type { NewEntry } from './pack-builder.ts'
import { abandonedError } from './pack-writer.ts'
import type { EntryPlace, PackSink, PackTarget } from './pack-writer.ts'
import { Serial } from './serial.ts'

interface GatheredPack {
  readonly objectId: number
  readonly key: ObjectKey
  readonly builder: PackBuilder
  readonly pieces: Uint8Array[]
}

/**
 * Gathers entries in memory and puts each pack whole, sealed, on backends without append. What waits here is bounded by the budget of those who
 * append: their bytes count until the flush.
 */
export class PackGatherer implements PackSink {
  readonly #target: PackTarget<Backend>
  readonly #serial = new Serial()
  /** Why packs could not be put whose entries somebody may still wait for. */
  readonly #lost = new Map<number, unknown>()
  #open: GatheredPack | undefined
  #flushing: Promise<void> | undefined

  constructor(target: PackTarget<Backend>) {
    this.#target = target
  }

  prepare(): void {
    // Nothing exists before the pack is complete.
  }

  append(entries: readonly NewEntry[]): Promise<readonly EntryPlace[]> {
    return this.#serial.run(async () => {
      const places: EntryPlace[] = []
      while (places.length < entries.length) {
        const pack = await this.#pack()
        const count = pack.builder.room(entries, places.length)
        if (count === 0) {
          await this.#put(pack)
          continue
        }
        const { pieces, offsets } = pack.builder.add(entries.slice(places.length, places.length + count))
        // Copies: whoever appends may use the memory again, but these wait for the flush.
        for (const piece of pieces) pack.pieces.push(Buffer.from(piece))
        for (const offset of offsets) places.push({ objectId: pack.objectId, offset })
      }
      return places
    })
  }

  async flush(objectIds: ReadonlySet<number>): Promise<void> {
    this.#flushing ??= this.#serial.run(async () => {
      this.#flushing = undefined
      this.#target.gate.assertOpen()
      if (this.#open !== undefined) await this.#put(this.#open)
    })
    await this.#flushing
    for (const objectId of objectIds) {
      if (this.#lost.has(objectId)) throw this.#lost.get(objectId)
    }
  }

  seal(): Promise<void> {
    return this.#serial.run(async () => {
      if (this.#open !== undefined) await this.#put(this.#open)
    })
  }

  abandon(): Promise<void> {
    return this.#serial.run(async () => {
      const pack = this.#open
      this.#open = undefined
      if (pack !== undefined) this.#lost.set(pack.objectId, abandonedError())
    })
  }

  close(): Promise<void> {
    return this.#serial.run(async () => {
      const pack = this.#open
      this.#target.gate.close()
      if (pack !== undefined && !this.#target.gate.failed) await this.#put(pack)
    })
  }

  async #pack(): Promise<GatheredPack> {
    this.#target.gate.assertOpen()
    if (this.#open !== undefined) return this.#open
    const { host, storeId, limit } = this.#target
    const { objectId, key } = await host.allocate('pack')
    const builder = new PackBuilder(key, storeId, limit)
    this.#open = { objectId, key, builder, pieces: [builder.start()] }
    return this.#open
  }

  async #put(pack: GatheredPack): Promise<void> {
    const { backend, host, gate } = this.#target
    // Given up if it fails: those who wait for it are told, and a key is never used twice.
    this.#open = undefined
    try {
      await gate.write(() => backend.put(pack.key, [...pack.pieces, ...pack.builder.finish()]))
    } catch (error) {
      this.#lost.set(pack.objectId, error)
      throw error
    }
    await host.sealed(pack.objectId, { size: pack.builder.size, entries: pack.builder.entries })
  }
}
