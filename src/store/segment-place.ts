import { uuidv4 } from '../core/uuid.ts'
import { type Backend, type ObjectKey, parseObjectKey } from '../ports/backend.ts'

/** Where a piece of the mirrored log lies: `<store id>/log/<log id>/<first>-<last>-<uuid>`, numbers with twelve digits so that they sort. */
export interface SegmentPlace {
  readonly key: ObjectKey
  readonly logId: string
  readonly first: number
  readonly last: number
}

/** A new key for events `first` to `last`. */
export function segmentKey(storeId: string, logId: string, first: number, last: number): ObjectKey {
  return parseObjectKey(`${storeId}/log/${logId}/${digits(first)}-${digits(last)}-${uuidv4()}`)
}

/** Segments in order of their keys; what else lies there is passed over. */
export async function* listSegments(backend: Backend, prefix: string): AsyncGenerator<SegmentPlace, void, undefined> {
  for await (const { key } of backend.list(prefix)) {
    const match = /^[^/]+\/log\/([^/]+)\/(\d{12})-(\d{12})-[^/]+$/.exec(key)
    const [, logId, first, last] = match ?? []
    if (logId !== undefined) yield { key, logId, first: Number(first), last: Number(last) }
  }
}

function digits(seq: number): string {
  return String(seq).padStart(12, '0')
}
