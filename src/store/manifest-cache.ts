import type { Digest } from '../core/digest.ts'
import type { ParsedManifest } from '../core/manifest.ts'

/** Manifests kept parsed, counted in their canonical bytes. */
const CACHE_BYTES = 4 * 1024 * 1024

/** Manifests that were read last. What a digest names never changes, so one cache serves every caller of a store. */
export class ManifestCache {
  readonly #manifests = new Map<Digest, { readonly manifest: ParsedManifest; readonly bytes: number }>()
  #cached = 0

  /** What was read before, if it is still here. */
  get(digest: Digest): ParsedManifest | undefined {
    return this.#manifests.get(digest)?.manifest
  }

  /** Keeps a manifest of so many bytes, and lets go of the oldest ones. */
  add(digest: Digest, manifest: ParsedManifest, bytes: number): void {
    if (this.#manifests.has(digest)) return
    this.#manifests.set(digest, { manifest, bytes })
    this.#cached += bytes
    for (const [oldest, entry] of this.#manifests) {
      if (this.#cached <= CACHE_BYTES || oldest === digest) return
      this.#manifests.delete(oldest)
      this.#cached -= entry.bytes
    }
  }
}
