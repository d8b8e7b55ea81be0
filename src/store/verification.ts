import { type Digest, rawSha256, sha256Digest } from '../core/digest.ts'
import type { StoreError } from '../core/errors.ts'
import type { FilePath } from '../core/path.ts'
import { listManifestTargets } from '../registry/manifests.ts'
import { getPackage, listAllPackages, type PackageRow } from '../registry/packages.ts'
import { packageStatus } from '../registry/tables.ts'
import { authorizeStore } from './authorization.ts'
import type { StoreContext } from './context.ts'
import type { EmbeddedFiles } from './files.ts'
import type { VerifiedFile } from './interface.ts'
import { ifReadable, isDamage, type LocatedChunk, type PackageReader } from './package-reader.ts'

/** Blobs that are verified together, in the order in which they lie. */
const BATCH = 1_000

interface Blob {
  readonly digest: Digest
  readonly size: number
  readonly path?: FilePath
}

/**
 * Re-reads what is stored and compares digests. What is damaged is noted, so that the same bytes arriving again heal it; what was damaged and is whole
 * again, since somebody put an object back, counts as whole again.
 */
export class Verification {
  readonly #context: StoreContext
  readonly #packages: PackageReader
  readonly #files: EmbeddedFiles

  constructor(context: StoreContext, packages: PackageReader, files: EmbeddedFiles) {
    this.#context = context
    this.#packages = packages
    this.#files = files
  }

  /** One package, or all: a line a file, and one for each manifest and document. */
  async *run(ref: string, signal?: AbortSignal): AsyncGenerator<VerifiedFile, void, undefined> {
    if (ref !== 'all') {
      yield* this.#package(await this.#packages.resolve(ref), signal)
      return
    }
    authorizeStore(this.#context, 'admin')
    for (let after = 0; ;) {
      const page = await listAllPackages(this.#context.registry.reader, after, 100)
      for (const row of page) yield* this.#package(row, signal)
      const last = page.at(-1)
      if (last === undefined) return
      after = last.id
    }
  }

  async *#package(row: PackageRow, signal: AbortSignal | undefined): AsyncGenerator<VerifiedFile, void, undefined> {
    let batch: Blob[] = []
    for await (const blob of this.#blobs(row)) {
      batch.push(blob)
      if (batch.length < BATCH) continue
      yield* this.#stillNamed(row, this.#verify(row, batch, signal))
      batch = []
    }
    yield* this.#stillNamed(row, this.#verify(row, batch, signal))
  }

  /** What the package let go of while it was verified may be gone, and is no problem. */
  async *#stillNamed(row: PackageRow, lines: AsyncIterable<VerifiedFile>): AsyncGenerator<VerifiedFile, void, undefined> {
    let named: Promise<ReadonlySet<Digest>> | undefined
    for await (const line of lines) {
      if (line.problem !== undefined) {
        named ??= this.#digestsOf(row.id)
        if (!(await named).has(line.digest)) continue
      }
      yield line
    }
  }

  async #digestsOf(id: number): Promise<ReadonlySet<Digest>> {
    const row = await getPackage(this.#context.registry.reader, id)
    const isThere = row !== undefined && row.status < packageStatus.purging
    return new Set(isThere ? (await Array.fromAsync(this.#blobs(row))).map(({ digest }) => digest) : [])
  }

  /** Document and manifests first; files as far as their manifests can be read (a manifest that cannot is a line of its own). */
  async *#blobs(row: PackageRow): AsyncGenerator<Blob, void, undefined> {
    const manifests = new Set([sha256Digest(row.manifest_digest)])
    const root = await ifReadable(this.#packages.manifest(sha256Digest(row.manifest_digest)))
    const gone = await this.#files.goneChildrenOf(row)
    if (root?.kind === 'index') for (const { digest } of root.children) if (!gone.has(digest)) manifests.add(digest)
    const children = (await ifReadable(this.#files.childrenOf(row))) ?? []
    for (const child of children) manifests.add(child.digest)
    yield { digest: sha256Digest(row.document_digest), size: 0 }
    for (const digest of manifests) yield { digest, size: 0 }
    for (const child of children) {
      const files = await ifReadable(this.#files.filesOf(child))
      // Behind a manifest that cannot be read the registry still knows which bytes it holds, though not what they are called.
      const behind = async (): Promise<readonly Blob[]> =>
        (await this.#targetsOf(child.digest)).filter(({ digest }) => !manifests.has(digest) && digest !== sha256Digest(row.document_digest))
      yield* files?.map(({ digest, size, path }) => ({ digest, size, path })) ?? (await behind())
    }
  }

  async #targetsOf(manifest: Digest): Promise<readonly Blob[]> {
    const targets = await listManifestTargets(this.#context.registry.reader, rawSha256(manifest))
    return targets.map(({ digest, size }) => ({ digest: sha256Digest(digest), size }))
  }

  async *#verify(row: PackageRow, blobs: readonly Blob[], signal: AbortSignal | undefined): AsyncGenerator<VerifiedFile, void, undefined> {
    const chunks: LocatedChunk[] = []
    const owner: number[] = []
    const waiting = new Map<number, { left: number; problem: StoreError | undefined }>()
    for (const [position, blob] of blobs.entries()) {
      const state: { left: number; problem: StoreError | undefined } = { left: 0, problem: undefined }
      waiting.set(position, state)
      try {
        for (const chunk of await this.#packages.locate(blob.digest)) {
          chunks.push(chunk)
          owner.push(position)
          state.left += 1
        }
      } catch (error) {
        if (!isDamage(error)) throw error
        state.problem = error
      }
      if (state.left === 0) yield line(row, blob, state.problem)
    }
    // Not awaited one by one: what is noted in the same turn shares a transaction.
    const noting: Promise<void>[] = []
    try {
      for await (const { index, problem } of this.#context.dataPlane.verify(chunks, signal === undefined ? {} : { signal })) {
        const position = owner[index]
        const blob = position === undefined ? undefined : blobs[position]
        const state = position === undefined ? undefined : waiting.get(position)
        const chunk = chunks[index]
        if (blob === undefined || state === undefined || chunk === undefined)
          throw new TypeError(`the data plane answered for chunk ${index}, which it was not asked for`)
        const damage = problem === undefined ? undefined : await this.#confirmed(problem, chunk, signal)
        if (damage !== undefined) {
          state.problem ??= damage
          noting.push(this.#packages.noteDamage(damage, sha256Digest(chunk.digest)))
        } else if (chunk.damaged) noting.push(this.#packages.noteSound(chunk))
        state.left -= 1
        if (state.left === 0) yield line(row, blob, state.problem)
      }
    } finally {
      await Promise.all(noting)
    }
  }

  /** What lay in a pack that was rewritten and deleted meanwhile is looked at where it lies now. */
  async #confirmed(problem: StoreError, chunk: LocatedChunk, signal: AbortSignal | undefined): Promise<StoreError | undefined> {
    const moved = await this.#packages.movedChunk(problem, chunk)
    if (moved === undefined) return problem
    const [again] = await Array.fromAsync(this.#context.dataPlane.verify([moved], signal === undefined ? {} : { signal }))
    return again?.problem === undefined ? undefined : this.#confirmed(again.problem, moved, signal)
  }
}

function line(row: PackageRow, blob: Blob, problem: StoreError | undefined): VerifiedFile {
  return { packageId: row.uuid, ...blob, ...(problem === undefined ? {} : { problem }) }
}
