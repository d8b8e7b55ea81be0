import { availableParallelism } from 'node:os'
import { ClosedError } from '../core/errors.ts'
import { canAppend } from '../ports/backend.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import type {
  BlobLocation,
  ChunkLocation,
  DataPlane,
  DataPlaneHost,
  Ingested,
  IngestItem,
  MovedEntry,
  PackContents,
  PackedEntry,
  Recipe,
  Verified,
} from '../ports/data-plane.ts'
import { runAhead } from './ahead.ts'
import { readChunks, verifyChunks } from './batch-reader.ts'
import type { ReadOutcome } from './batch-reader.ts'
import { readBlob } from './blob-reader.ts'
import { ByteBudget } from './byte-budget.ts'
import { FileThreads } from './file-threads.ts'
import { IngestCall } from './ingest-call.ts'
import type { IngestContext, IngestOptions } from './ingest-call.ts'
import { PACK_LIMIT } from './pack-builder.ts'
import type { PackLimit } from './pack-builder.ts'
import { uuidBytes } from './pack-format.ts'
import { compactEntries, type CompactionContext, readContents } from './pack-compaction.ts'
import { PackGatherer } from './pack-gatherer.ts'
import { PackWriter } from './pack-writer.ts'
import { writeRecipe } from './recipe-writer.ts'
import { WriteGate } from './write-gate.ts'

/** What a data plane in this process is made of. */
export interface InprocDataPlaneOptions {
  /** Stays open when the data plane closes. */
  readonly backend: Backend
  readonly host: DataPlaneHost
  /** UUID of the store, written into every pack. */
  readonly storeId: string
  /** When a pack is sealed. Default: 64 MiB or 8,192 entries. */
  readonly packLimit?: PackLimit
  /** Threads that read small files beside the main one when many wait. Default: one for each other core, 1 or 2; 0: none. */
  readonly threads?: number
}

/** Bytes that all calls of a data plane hold in memory together. */
const MEMORY_BYTES = 12 * 1024 * 1024
const DELETES_AT_ONCE = 8

/** The data plane in this process. @throws InputInvalidError when the store id is not a UUID */
export function createInprocDataPlane(options: InprocDataPlaneOptions): DataPlane {
  return new InprocDataPlane(options)
}

function defaultThreads(): number {
  return Math.max(1, Math.min(2, availableParallelism() - 1))
}

class InprocDataPlane implements DataPlane {
  readonly #context: IngestContext
  readonly #compaction: CompactionContext
  #closed = false

  constructor({ backend, host, storeId, packLimit: limit = PACK_LIMIT, threads = defaultThreads() }: InprocDataPlaneOptions) {
    const gate = new WriteGate(host)
    const target = { host, gate, storeId: uuidBytes(storeId), limit }
    const sink = canAppend(backend) ? new PackWriter({ ...target, backend }) : new PackGatherer({ ...target, backend })
    this.#context = { backend, host, gate, sink, threads: new FileThreads(threads), budget: new ByteBudget(MEMORY_BYTES) }
    this.#compaction = { backend, storeId, sink, threads: this.#context.threads }
  }

  ingestMany(items: AsyncIterable<IngestItem> | Iterable<IngestItem>, options: IngestOptions): AsyncIterable<readonly Ingested[]> {
    this.#assertOpen()
    return new IngestCall(this.#context, options).run(items, options.signal)
  }

  async recordRecipe(recipe: Recipe): Promise<readonly number[]> {
    this.#assertOpen()
    return writeRecipe(this.#context.sink, recipe)
  }

  read(
    blob: BlobLocation,
    { signal, ...range }: { readonly start?: number; readonly end?: number; readonly signal?: AbortSignal } = {},
  ): AsyncIterable<Uint8Array> {
    this.#assertOpen()
    return readBlob(this.#context.backend, blob, range, signal)
  }

  readMany(chunks: readonly ChunkLocation[], options: { readonly signal?: AbortSignal } = {}): AsyncIterable<ReadOutcome> {
    this.#assertOpen()
    return readChunks(this.#context.backend, chunks, options.signal)
  }

  verify(chunks: readonly ChunkLocation[], options: { readonly signal?: AbortSignal } = {}): AsyncIterable<Verified> {
    this.#assertOpen()
    return verifyChunks(this.#context.backend, chunks, options.signal)
  }

  contents(pack: ObjectKey): Promise<PackContents> {
    this.#assertOpen()
    return readContents(this.#compaction, pack)
  }

  compact(pack: ObjectKey, entries: readonly PackedEntry[], options: { readonly signal?: AbortSignal } = {}): AsyncIterable<readonly MovedEntry[]> {
    this.#assertOpen()
    return compactEntries(this.#compaction, pack, entries, options.signal)
  }

  async delete(keys: readonly ObjectKey[]): Promise<void> {
    this.#assertOpen()
    for await (const _ of runAhead(keys, DELETES_AT_ONCE, (key) => this.#context.backend.delete(key)));
  }

  async abandon(): Promise<void> {
    await this.#context.sink.abandon()
  }

  async seal(): Promise<void> {
    this.#assertOpen()
    await this.#context.sink.seal()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#context.threads.close()
    await this.#context.sink.close()
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError('the data plane is closed')
  }
}
