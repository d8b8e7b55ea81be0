import { Buffer } from 'node:buffer'
import { canonicalJson, encodeCanonical, type JsonObject } from './canonical-json.ts'
import {
  EMPTY_DESCRIPTOR,
  EXECUTABLE_ANNOTATION,
  FILE_BYTES_ANNOTATION,
  FILE_COUNT_ANNOTATION,
  FILE_SETS_ANNOTATION,
  IMAGE_INDEX_TYPE,
  IMAGE_MANIFEST_TYPE,
  MEDIA_TYPE_ANNOTATION,
  TITLE_ANNOTATION,
  type Descriptor,
} from './descriptor.ts'
import { digestOf, type Digest } from './digest.ts'
import { LimitExceededError } from './errors.ts'
import { MAX_BUILT_MANIFEST_BYTES } from './manifest-split.ts'
import { essenceOf } from './media-type.ts'
import type { FilePath } from './path.ts'

/** A file as a manifest names it. `size` in bytes, `mediaType` with its parameters. */
export interface LayerEntry {
  readonly path: FilePath
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly executable: boolean
}

/** A file and the part of the package it belongs to ({@link compileFileSets}). */
export interface AssignedLayer extends LayerEntry {
  readonly setKey: string
}

/** A manifest ready to be stored. */
export interface BuiltManifest {
  readonly bytes: Uint8Array
  readonly digest: Digest
  readonly mediaType: string
  /** `package`: the only manifest; `document` and `files`: children of an index; `index`: their root. */
  readonly role: 'package' | 'document' | 'files' | 'index'
  /** Set key of a files child; `''` otherwise and for the unnamed set. */
  readonly setKey: string
  readonly fileCount: number
  /** Sum of the sizes of the files, bytes. */
  readonly size: number
  /** What it refers to, each once: config and layers, or the children of an index. */
  readonly layers: readonly Digest[]
}

/** Largest index the store writes, bytes: what registries accept. Enough for some 13,000 children, or 100 million files with short paths. */
export const MAX_INDEX_BYTES = 4_194_304

/** A layer and its canonical bytes. */
export interface EncodedLayer extends AssignedLayer {
  readonly bytes: Uint8Array
}

/** Writes the descriptor of a file. */
export function encodeLayer(layer: AssignedLayer): EncodedLayer {
  return { ...layer, bytes: encodeCanonical(layerDescriptor(layer)) }
}

function layerDescriptor({ path, digest, size, mediaType, executable }: LayerEntry): JsonObject {
  const essence = essenceOf(mediaType)
  const annotations = {
    [TITLE_ANNOTATION]: path,
    ...(executable ? { [EXECUTABLE_ANNOTATION]: 'true' } : {}),
    ...(essence === mediaType ? {} : { [MEDIA_TYPE_ANNOTATION]: mediaType }),
  }
  return { annotations, digest, mediaType: essence, size }
}

function descriptorJson({ mediaType, digest, size }: Descriptor): JsonObject {
  return { digest, mediaType, size }
}

/** An image manifest being written. Its bytes are put together from those of its layers, which are encoded once. */
export class ImageDraft {
  readonly setKey: string
  readonly layers: EncodedLayer[] = []
  /** Canonical bytes of the layers, and one each for a comma. */
  layerBytes = 0
  readonly #role: 'package' | 'document' | 'files'
  readonly #config: Descriptor
  readonly #head: Uint8Array
  readonly #tail: Uint8Array

  constructor(role: 'package' | 'document' | 'files', artifactType: string, config: Descriptor, setKey: string) {
    this.setKey = setKey
    this.#role = role
    this.#config = config
    const annotations = setKey === '' ? {} : { annotations: { [FILE_SETS_ANNOTATION]: setKey } }
    const before = canonicalJson({ ...annotations, artifactType, config: descriptorJson(config) })
    const after = canonicalJson({ mediaType: IMAGE_MANIFEST_TYPE, schemaVersion: 2 })
    // In canonical order "layers" stands between these members.
    this.#head = Buffer.from(`${before.slice(0, -1)},"layers":[`)
    this.#tail = Buffer.from(`],${after.slice(1)}`)
  }

  fits(layer: EncodedLayer): boolean {
    return this.#head.byteLength + this.layerBytes + layer.bytes.byteLength + this.#tail.byteLength <= MAX_BUILT_MANIFEST_BYTES
  }

  add(layer: EncodedLayer): void {
    this.layers.push(layer)
    this.layerBytes += layer.bytes.byteLength + 1
  }

  build(): BuiltManifest {
    const layers = this.layers.length === 0 ? [encodeCanonical(descriptorJson(EMPTY_DESCRIPTOR))] : this.layers.map(({ bytes }) => bytes)
    const bytes = Buffer.concat([this.#head, ...layers.flatMap((layer, index) => (index === 0 ? [layer] : [COMMA, layer])), this.#tail])
    const named = this.layers.length === 0 ? [EMPTY_DESCRIPTOR.digest] : this.layers.map(({ digest }) => digest)
    return {
      bytes,
      digest: digestOf(bytes),
      mediaType: IMAGE_MANIFEST_TYPE,
      role: this.#role,
      setKey: this.setKey,
      fileCount: this.layers.length,
      size: this.layers.reduce((sum, { size }) => sum + size, 0),
      layers: [...new Set([this.#config.digest, ...named])],
    }
  }
}

const COMMA: Uint8Array = Buffer.from(',')

/** An image index being written. */
export class IndexDraft {
  readonly #artifactType: string
  readonly #children: JsonObject[] = []
  readonly #digests = new Set<Digest>()
  #bytes: number
  #fileCount = 0
  #size = 0

  constructor(artifactType: string) {
    this.#artifactType = artifactType
    this.#bytes = this.#encode().byteLength
  }

  /** Lists a child and hands it on. */
  add(child: BuiltManifest): BuiltManifest {
    const descriptor: JsonObject = {
      annotations: {
        ...(child.setKey === '' ? {} : { [FILE_SETS_ANNOTATION]: child.setKey }),
        [FILE_BYTES_ANNOTATION]: String(child.size),
        [FILE_COUNT_ANNOTATION]: String(child.fileCount),
      },
      artifactType: this.#artifactType,
      digest: child.digest,
      mediaType: child.mediaType,
      size: child.bytes.byteLength,
    }
    this.#bytes += encodeCanonical(descriptor).byteLength + (this.#children.length === 0 ? 0 : 1)
    if (this.#bytes > MAX_INDEX_BYTES) {
      throw new LimitExceededError(
        `the package has too many files: its index would pass ${MAX_INDEX_BYTES} bytes at child ${this.#children.length + 1}`,
      )
    }
    this.#children.push(descriptor)
    this.#digests.add(child.digest)
    this.#fileCount += child.fileCount
    this.#size += child.size
    return child
  }

  build(): BuiltManifest {
    const bytes = this.#encode()
    return {
      bytes,
      digest: digestOf(bytes),
      mediaType: IMAGE_INDEX_TYPE,
      role: 'index',
      setKey: '',
      fileCount: this.#fileCount,
      size: this.#size,
      layers: [...this.#digests],
    }
  }

  #encode(): Uint8Array {
    return encodeCanonical({ artifactType: this.#artifactType, manifests: this.#children, mediaType: IMAGE_INDEX_TYPE, schemaVersion: 2 })
  }
}
