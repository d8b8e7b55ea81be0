import { LeaseLostError, StorageFullError } from '../core/errors.ts'
import type { AppendBackend, ObjectAppender } from '../ports/backend.ts'
import type { DataPlaneHost } from '../ports/data-plane.ts'
import { PackBuilder } from './pack-builder.ts'
import type { NewEntry, PackLimit } from './pack-builder.ts'
import { Serial } from './serial.ts'
import type { WriteGate } from './write-gate.ts'

/** Where the payload of an entry was appended. */
export interface EntryPlace {
  readonly objectId: number
  readonly offset: number
}

/** Takes entries into packs. Both kinds of backends have one; callers share them. */
export interface PackSink {
  /** Makes ready for entries that will come soon, without being waited for. */
  prepare(): void
  /** Adds entries; they are durable after a {@link flush} that was called later. */
  append(entries: readonly NewEntry[]): Promise<readonly EntryPlace[]>
  /**
   * Makes everything appended before durable. Calls that come while another one is at work share the next one (group commit).
   * @param objectIds the packs the caller's entries were appended to
   */
  flush(objectIds: ReadonlySet<number>): Promise<void>
  /** Seals what is open; what is appended next goes elsewhere. */
  seal(): Promise<void>
  /** Lets go of what is open without writing to it again. */
  abandon(): Promise<void>
  /** Seals what is open. */
  close(): Promise<void>
}

/** What packs are written with. */
export interface PackTarget<B> {
  readonly backend: B
  readonly host: DataPlaneHost
  readonly gate: WriteGate
  readonly storeId: Uint8Array
  readonly limit: PackLimit
}

interface OpenPack {
  readonly objectId: number
  readonly appender: ObjectAppender
  readonly builder: PackBuilder
  /** Whether something was appended since the last flush. */
  dirty: boolean
  /** Whether an append failed: bytes of it may lie behind the end, where a footer would not be found. Such a pack is never sealed. */
  torn: boolean
}

/** Keeps one open pack and appends to it, on backends that can. */
export class PackWriter implements PackSink {
  readonly #target: PackTarget<AppendBackend>
  readonly #serial = new Serial()
  /** Packs that were let go of with something in them that is not durable. */
  readonly #lost = new Set<number>()
  #open: OpenPack | undefined
  #flushing: Promise<void> | undefined

  constructor(target: PackTarget<AppendBackend>) {
    this.#target = target
  }

  prepare(): void {
    if (this.#open !== undefined) return
    // Whoever appends next meets the same failure and can report it.
    this.#serial.run(async () => this.#pack()).catch(() => undefined)
  }

  append(entries: readonly NewEntry[]): Promise<readonly EntryPlace[]> {
    return this.#serial.run(async () => {
      const places: EntryPlace[] = []
      while (places.length < entries.length) {
        const pack = await this.#pack()
        const count = pack.builder.room(entries, places.length)
        if (count === 0) {
          await this.#seal(pack)
          continue
        }
        const offsets = await this.#extend(pack, entries.slice(places.length, places.length + count))
        for (const offset of offsets) places.push({ objectId: pack.objectId, offset })
      }
      return places
    })
  }

  async flush(objectIds: ReadonlySet<number>): Promise<void> {
    this.#flushing ??= this.#serial.run(async () => {
      this.#flushing = undefined
      this.#target.gate.assertOpen()
      if (this.#open !== undefined) await this.#makeDurable(this.#open)
    })
    await this.#flushing
    if (!this.#lost.isDisjointFrom(objectIds)) throw abandonedError()
  }

  seal(): Promise<void> {
    return this.#serial.run(async () => {
      this.#target.gate.assertOpen()
      if (this.#open !== undefined && this.#open.builder.entries > 0) await this.#seal(this.#open)
    })
  }

  abandon(): Promise<void> {
    return this.#serial.run(async () => {
      const pack = this.#open
      this.#open = undefined
      if (pack === undefined) return
      if (pack.dirty) this.#lost.add(pack.objectId)
      await pack.appender.close()
    })
  }

  close(): Promise<void> {
    return this.#serial.run(async () => {
      const pack = this.#open
      this.#target.gate.close()
      if (pack === undefined) return
      try {
        if (!this.#target.gate.failed && pack.builder.entries > 0) await this.#seal(pack)
      } finally {
        this.#open = undefined
        await pack.appender.close()
      }
    })
  }

  async #pack(): Promise<OpenPack> {
    this.#target.gate.assertOpen()
    return (this.#open ??= await this.#create())
  }

  async #create(): Promise<OpenPack> {
    const { backend, host, gate, storeId, limit } = this.#target
    const { objectId, key } = await host.allocate('pack')
    const builder = new PackBuilder(key, storeId, limit)
    const appender = await gate.write(() => backend.createAppender(key))
    try {
      await gate.write(() => appender.append([builder.start()]))
    } catch (error) {
      await appender.close()
      throw error
    }
    return { objectId, appender, builder, dirty: false, torn: false }
  }

  async #extend(pack: OpenPack, entries: readonly NewEntry[]): Promise<readonly number[]> {
    const { builder } = pack
    const before = { size: builder.size, entries: builder.entries }
    const { pieces, offsets } = builder.add(entries)
    try {
      await this.#target.gate.write(() => pack.appender.append(pieces))
    } catch (error) {
      builder.rewind(before)
      pack.torn = true
      throw error
    }
    pack.dirty = true
    return offsets
  }

  /** Ends a pack. Without its table of contents, if that cannot be written, it is read by scanning it. */
  async #seal(pack: OpenPack): Promise<void> {
    const { builder, appender, objectId } = pack
    if (!pack.torn) {
      await this.#target.gate
        .write(() => appender.append(builder.finish()))
        .catch((error: unknown) => {
          if (!(error instanceof StorageFullError)) throw error
          pack.torn = true
        })
      pack.dirty = true
    }
    await this.#makeDurable(pack)
    this.#open = undefined
    await appender.close()
    if (!pack.torn) await this.#target.host.sealed(objectId, { size: builder.size, entries: builder.entries })
  }

  async #makeDurable(pack: OpenPack): Promise<void> {
    if (!pack.dirty) return
    await this.#target.gate.flush(() => pack.appender.flush())
    pack.dirty = false
  }
}

/** What those are told whose entries were in a pack that was let go of. */
export function abandonedError(): LeaseLostError {
  return new LeaseLostError('the pack was given up because its writer was taken for dead; send the bytes again')
}
