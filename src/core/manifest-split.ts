import { Buffer } from 'node:buffer'
import { sha256 } from './digest.ts'
import type { FilePath } from './path.ts'

/** Largest manifest the store writes, bytes. Registries accept 4 MiB (OCI distribution specification 1.1.1, "Pushing Manifests"). */
export const MAX_BUILT_MANIFEST_BYTES = 3_670_016
/** Layers of a files child take at least this many bytes before the hash of a path may end it. */
export const MIN_SPLIT_BYTES = 1_048_576
/** From this many bytes on the end is sought eagerly, so that hardly any child grows to the maximum, where a cut is not content-defined. */
export const TARGET_SPLIT_BYTES = 2_097_152

/** One end in 2^32 / 2^11 = 2 MiB of layers is expected below the target. */
const WEIGHT_BELOW_TARGET = 2 ** 11
/** One end in 128 KiB from the target on. */
const WEIGHT_FROM_TARGET = 2 ** 15

/**
 * Whether a files child ends behind this layer (docs/format/package.md, "Splitting a large set").
 * @param layerBytes canonical bytes of the layer and one for its comma
 * @param childBytes the sum of `layerBytes` over the child so far, this layer included
 */
export function endsChild(path: FilePath, layerBytes: number, childBytes: number): boolean {
  if (childBytes < MIN_SPLIT_BYTES) return false
  const weight = childBytes < TARGET_SPLIT_BYTES ? WEIGHT_BELOW_TARGET : WEIGHT_FROM_TARGET
  const hash = sha256(Buffer.from(path))
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0) < layerBytes * weight
}
