/** Whether a list of entity tags (`If-Match`, `If-None-Match`) names this one. Digests are strong tags; a weak one in the list is compared by its text. */
export function listsEntityTag(header: string, tag: string): boolean {
  if (header.trim() === '*') return true
  return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some((listed) => listed.replace(/^W\//, '') === tag)
}

/** The headers of a request that ask for something under a condition. */
export interface Conditions {
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: string | undefined
  readonly 'if-range'?: string | undefined
}

/**
 * Decides what conditions mean for a representation that exists (RFC 9110 section 13.2.2).
 * @returns `precondition_failed`, `not_modified`, `whole` (a range is not to be honoured), or `go`
 */
export function weighConditions(conditions: Conditions, tag: string): 'precondition_failed' | 'not_modified' | 'whole' | 'go' {
  const { 'if-match': match, 'if-none-match': noneMatch, 'if-range': range } = conditions
  if (match !== undefined && !listsEntityTag(match, tag)) return 'precondition_failed'
  if (noneMatch !== undefined && listsEntityTag(noneMatch, tag)) return 'not_modified'
  // There are no modification times: a date can only mean a representation that is not known to be the same.
  return range !== undefined && range.trim() !== tag ? 'whole' : 'go'
}
