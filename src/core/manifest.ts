import { Buffer } from 'node:buffer'
import { parseJson, type JsonValue } from './canonical-json.ts'
import {
  EMPTY_DESCRIPTOR,
  EMPTY_TYPE,
  EXECUTABLE_ANNOTATION,
  FILE_BYTES_ANNOTATION,
  FILE_COUNT_ANNOTATION,
  FILE_SETS_ANNOTATION,
  IMAGE_INDEX_TYPE,
  IMAGE_MANIFEST_TYPE,
  MEDIA_TYPE_ANNOTATION,
  PACKAGE_DOCUMENT_TYPE,
  TITLE_ANNOTATION,
  type Descriptor,
} from './descriptor.ts'
import { parseDigest, type Digest } from './digest.ts'
import { DigestInvalidError, DocumentInvalidError, InputInvalidError, LimitExceededError } from './errors.ts'
import { optional, readArray, readObject, readSize, readString, readStringMap } from './json-shape.ts'
import { encodeLayer, ImageDraft, IndexDraft, type AssignedLayer, type BuiltManifest, type EncodedLayer, type LayerEntry } from './manifest-draft.ts'
import { endsChild } from './manifest-split.ts'
import { essenceOf, MAX_MEDIA_TYPE_BYTES } from './media-type.ts'
import { comparePaths, displayPath, isFilePath, parsePath, type FilePath } from './path.ts'

export type { AssignedLayer, BuiltManifest, LayerEntry }

/** What a package is made of. */
export interface ManifestInput {
  readonly artifactType: string
  /** The canonical package document. */
  readonly document: { readonly bytes: Uint8Array; readonly digest: Digest }
  /** Whether file sets are declared, in which case the package is an index whatever its size. */
  readonly hasFileSets: boolean
  /** Pages of any length, sorted by set key, then path, both in byte order. */
  readonly files: AsyncIterable<readonly AssignedLayer[]>
}

/**
 * Writes the manifests of a package (docs/format/package.md): children first, the document child before the files children; the root (a package
 * or an index) last. Streams: holds the layers of one manifest and the descriptors of an index, whatever the number of files.
 * @throws InputInvalidError when files are out of order, twice there, or assigned without file sets; LimitExceededError when an index would
 * pass 4 MiB
 */
export async function* buildManifests(input: ManifestInput): AsyncGenerator<BuiltManifest, void, undefined> {
  const { artifactType, document, hasFileSets } = input
  const config: Descriptor = { mediaType: PACKAGE_DOCUMENT_TYPE, digest: document.digest, size: document.bytes.byteLength }
  const index = new IndexDraft(artifactType)
  const splitter = new Splitter(artifactType)
  // Until it overflows, everything is kept as the one manifest of the package, and then split as if it never had been.
  let single: ImageDraft | undefined = hasFileSets ? undefined : new ImageDraft('package', artifactType, config, '')
  if (single === undefined) yield index.add(new ImageDraft('document', artifactType, config, '').build())
  for await (const layer of inOrder(input)) {
    if (single?.fits(layer) === true) {
      single.add(layer)
      continue
    }
    if (single !== undefined) {
      yield index.add(new ImageDraft('document', artifactType, config, '').build())
      for (const kept of single.layers) for (const child of splitter.add(kept)) yield index.add(child)
      single = undefined
    }
    for (const child of splitter.add(layer)) yield index.add(child)
  }
  if (single !== undefined) {
    yield single.build()
    return
  }
  for (const child of splitter.end()) yield index.add(child)
  yield index.build()
}

async function* inOrder({ files, hasFileSets }: ManifestInput): AsyncGenerator<EncodedLayer, void, undefined> {
  let last: AssignedLayer | undefined
  for await (const page of files) {
    for (const layer of page) {
      if (!hasFileSets && layer.setKey !== '')
        throw new InputInvalidError(`"${displayPath(layer.path)}" is in a file set of a package without file sets`)
      if (last !== undefined && (comparePaths(last.setKey, layer.setKey) || comparePaths(last.path, layer.path)) >= 0) {
        throw new InputInvalidError(`"${displayPath(layer.path)}" comes twice or out of order`)
      }
      last = layer
      yield encodeLayer(layer)
    }
  }
}

/** Cuts the layers of each set into files children. */
class Splitter {
  readonly #artifactType: string
  #draft: ImageDraft | undefined

  constructor(artifactType: string) {
    this.#artifactType = artifactType
  }

  /** @returns the children that this layer ends */
  add(layer: EncodedLayer): BuiltManifest[] {
    const ended = this.#draft?.setKey === layer.setKey && this.#draft.fits(layer) ? [] : this.end()
    this.#draft ??= new ImageDraft('files', this.#artifactType, EMPTY_DESCRIPTOR, layer.setKey)
    this.#draft.add(layer)
    return endsChild(layer.path, layer.bytes.byteLength + 1, this.#draft.layerBytes) ? [...ended, ...this.end()] : ended
  }

  end(): BuiltManifest[] {
    const draft = this.#draft
    this.#draft = undefined
    return draft === undefined ? [] : [draft.build()]
  }
}

/** Largest manifest that is read, bytes (OCI distribution specification 1.1.1, "Pushing Manifests"). */
export const MAX_MANIFEST_BYTES = 4_194_304

/** An image manifest as it was read. Members the store has no use for are left out; the bytes remain what counts. */
export interface ParsedImage {
  readonly kind: 'image'
  readonly mediaType: string
  readonly artifactType?: string
  readonly config: Descriptor
  /**
   * The files, in the order of the manifest, each path once. A layer has the path of its title; if it has none, or one that is no path or is
   * taken, `blobs/<digest>`. An OCI empty descriptor that stands for "no layers" is no file.
   */
  readonly layers: readonly LayerEntry[]
  /** Config and layers, each digest once. */
  readonly blobs: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly annotations: Readonly<Record<string, string>>
}

/** An image index as it was read. */
export interface ParsedIndex {
  readonly kind: 'index'
  readonly mediaType: string
  readonly artifactType?: string
  /** In the order of the index. They need not be manifests, and need not exist. */
  readonly children: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly annotations: Readonly<Record<string, string>>
}

/** What {@link parseManifest} returns. */
export type ParsedManifest = ParsedImage | ParsedIndex

/** What an index of the store says about a child, so that it can be told when the child is gone. `size` in bytes. */
export interface ChildFacts {
  readonly setKey: string
  readonly fileCount: number
  readonly size: number
}

const IMAGE_TYPES: ReadonlySet<string> = new Set([IMAGE_MANIFEST_TYPE, 'application/vnd.docker.distribution.manifest.v2+json'])
const INDEX_TYPES: ReadonlySet<string> = new Set([IMAGE_INDEX_TYPE, 'application/vnd.docker.distribution.manifest.list.v2+json'])
const DECIMAL_PATTERN = /^(?:0|[1-9][0-9]{0,15})$/

/**
 * Reads an image manifest or index (OCI image specification 1.1, or Docker's schema 2, which has the same shape), whoever wrote it. Unknown
 * members are allowed, as the specification asks.
 * @param given the media type it was sent with; decides when the manifest does not say its own, and must not contradict it
 * @throws DocumentInvalidError; LimitExceededError beyond {@link MAX_MANIFEST_BYTES}
 */
export function parseManifest(bytes: Uint8Array, given?: string): ParsedManifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) throw new LimitExceededError(`manifest is longer than ${MAX_MANIFEST_BYTES} bytes (${bytes.byteLength})`)
  const manifest = readObject(parseJson(bytes, { maxBytes: MAX_MANIFEST_BYTES }), 'manifest')
  if (manifest['schemaVersion'] !== 2) throw new DocumentInvalidError('schemaVersion must be 2')
  const isIndex = manifest['manifests'] !== undefined
  if (isIndex && (manifest['config'] !== undefined || manifest['layers'] !== undefined)) {
    throw new DocumentInvalidError('manifest has both "manifests" and "config" or "layers": it must be an index or an image manifest')
  }
  const said = optional(manifest['mediaType'], 'mediaType', readString)
  if (said !== undefined && given !== undefined && said !== given) {
    throw new DocumentInvalidError(`manifest says it is ${quoted(said)} and was sent as ${quoted(given)}`)
  }
  const mediaType = said ?? given ?? (isIndex ? IMAGE_INDEX_TYPE : IMAGE_MANIFEST_TYPE)
  if (!(isIndex ? INDEX_TYPES : IMAGE_TYPES).has(mediaType)) {
    throw new DocumentInvalidError(`${quoted(mediaType)} is not the media type of ${isIndex ? 'an index' : 'an image manifest'}`)
  }
  const artifactType = optional(manifest['artifactType'], 'artifactType', readString)
  const subject = optional(manifest['subject'], 'subject', readDescriptor)
  const common = {
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(subject === undefined ? {} : { subject }),
    annotations: optional(manifest['annotations'], 'annotations', readStringMap) ?? {},
  }
  if (isIndex) return { kind: 'index', ...common, children: readArray(manifest['manifests'], 'manifests', readDescriptor) }
  const config = readDescriptor(manifest['config'], 'config')
  const layers = readArray(manifest['layers'], 'layers', readDescriptor)
  return { kind: 'image', ...common, config, layers: filesOf(layers), blobs: distinctByDigest([config, ...layers]) }
}

/** What the annotations of an index entry say about its files, or undefined when it is not one of ours. */
export function childFacts({ annotations = {} }: Descriptor): ChildFacts | undefined {
  const fileCount = decimal(annotations[FILE_COUNT_ANNOTATION])
  const size = decimal(annotations[FILE_BYTES_ANNOTATION])
  if (fileCount === undefined || size === undefined) return undefined
  return { setKey: annotations[FILE_SETS_ANNOTATION] ?? '', fileCount, size }
}

function decimal(text: string | undefined): number | undefined {
  if (text === undefined || !DECIMAL_PATTERN.test(text)) return undefined
  return Number.isSafeInteger(Number(text)) ? Number(text) : undefined
}

function readDescriptor(value: JsonValue | undefined, where: string): Descriptor {
  const descriptor = readObject(value, where)
  const mediaType = readString(descriptor['mediaType'], `${where}.mediaType`)
  if (mediaType === '' || Buffer.byteLength(mediaType) > MAX_MEDIA_TYPE_BYTES) {
    throw new DocumentInvalidError(`${where}.mediaType must have 1 to ${MAX_MEDIA_TYPE_BYTES} bytes`)
  }
  const artifactType = optional(descriptor['artifactType'], `${where}.artifactType`, readString)
  const annotations = optional(descriptor['annotations'], `${where}.annotations`, readStringMap)
  return {
    mediaType,
    digest: readDigest(descriptor['digest'], `${where}.digest`),
    size: readSize(descriptor['size'], `${where}.size`),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

function readDigest(value: JsonValue | undefined, where: string): Digest {
  try {
    return parseDigest(readString(value, where))
  } catch (cause) {
    if (!(cause instanceof DigestInvalidError)) throw cause
    throw new DocumentInvalidError(`${where}: ${cause.message}`, { cause })
  }
}

function filesOf(layers: readonly Descriptor[]): readonly LayerEntry[] {
  const [first] = layers
  if (layers.length === 1 && first?.mediaType === EMPTY_TYPE && first.annotations?.[TITLE_ANNOTATION] === undefined) return []
  const titles = new Set<FilePath>()
  const titled = layers.map((layer) => {
    const title = titleOf(layer)
    if (title === undefined || titles.has(title)) return undefined
    titles.add(title)
    return title
  })
  const paths = new Set(titles)
  return layers.flatMap((layer, position) => {
    const title = titled[position]
    if (title !== undefined) return [layerEntry(title, layer)]
    const path = parsePath(`blobs/${layer.digest}`)
    if (paths.has(path)) return []
    paths.add(path)
    return [layerEntry(path, layer)]
  })
}

function titleOf({ annotations }: Descriptor): FilePath | undefined {
  const title = annotations?.[TITLE_ANNOTATION]
  return title !== undefined && isFilePath(title) ? title : undefined
}

function layerEntry(path: FilePath, { digest, size, mediaType, annotations }: Descriptor): LayerEntry {
  const full = annotations?.[MEDIA_TYPE_ANNOTATION]
  return {
    path,
    digest,
    size,
    mediaType: full !== undefined && essenceOf(full) === mediaType ? full : mediaType,
    executable: annotations?.[EXECUTABLE_ANNOTATION] === 'true',
  }
}

function distinctByDigest(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  const byDigest = new Map<Digest, Descriptor>()
  for (const descriptor of descriptors) if (!byDigest.has(descriptor.digest)) byDigest.set(descriptor.digest, descriptor)
  return [...byDigest.values()]
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 300))
}
