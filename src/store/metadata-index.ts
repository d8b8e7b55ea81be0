import { canonicalJson, type JsonObject } from '../core/canonical-json.ts'

/** Longer values are kept in the document but cannot be searched for. */
const LONGEST_VALUE_BYTES = 1_024
/** Members beyond these, in order of name, cannot be searched for. */
const MOST_MEMBERS = 64

/** What of a package's metadata a search can ask for: its top-level strings, numbers and booleans, the latter two in their JSON form. */
export function metadataIndex(metadata: JsonObject | undefined): ReadonlyMap<string, string> {
  const index = new Map<string, string>()
  for (const [key, value] of Object.entries(metadata ?? {}).toSorted(([left], [right]) => (left < right ? -1 : 1))) {
    if (typeof value === 'object') continue
    const text = typeof value === 'string' ? value : canonicalJson(value)
    if (Buffer.byteLength(text) <= LONGEST_VALUE_BYTES && index.size < MOST_MEMBERS) index.set(key, text)
  }
  return index
}
