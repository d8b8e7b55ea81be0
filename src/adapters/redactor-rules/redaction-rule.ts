/**
 * What a secret looks like: something in front of it that gives it away, and where it ends. The value itself may be of any length; it is not held in
 * memory.
 */
export interface RedactionRule {
  /** Named in the provenance of a package, and in what stands for the secret. */
  readonly name: string
  /**
   * What stands right in front of the secret, matched in text whose bytes are characters (ISO 8859-1). Looks at no more than {@link LEAD_BYTES}
   * characters from its start, and at {@link CONTEXT_BYTES} before it.
   */
  readonly lead: RegExp
  /** Characters that end the secret; the end of the file does too. */
  readonly endsAt: string
}

/** Longest lead of a secret, in bytes: what is held back of a stream. */
export const LEAD_BYTES = 256
/** How far a lead may look back. */
export const CONTEXT_BYTES = 2

/** Ends a value in a header, a log line, or either of them inside of a JSON string. */
const LINE_ENDS = '\r\n"\\'

/**
 * Secrets that clients of web services write into logs and reports: headers, parameters of sessions, members of JSON, elements of XML, and forms.
 * Rather too much is taken out than too little.
 */
export const defaultRedactionRules: readonly RedactionRule[] = [
  { name: 'authorization-header', lead: /(?:(?<![\w-])|(?<=\\[nrt]))(?:proxy-)?authorization["']?\s{0,8}[:=]\s{0,8}["'[]{0,2}/gi, endsAt: LINE_ENDS },
  { name: 'cookie-header', lead: /(?:(?<![\w-])|(?<=\\[nrt]))(?:set-)?cookie["']?\s{0,8}:\s{0,8}["'[]{0,2}/gi, endsAt: LINE_ENDS },
  {
    name: 'secret-parameter',
    lead: /[\w.-]{0,128}(?:password|passwd|passphrase|secret|(?:access|refresh|id|bearer|session)[_.-]?token|api[_.-]?key)\s{0,8}=\s{0,8}/gi,
    endsAt: `${LINE_ENDS}&<>'`,
  },
  {
    name: 'secret-member',
    lead: /\\{0,3}["'][\w.-]{0,128}(?:password|passwd|passphrase|secret|(?:access|refresh|id|bearer|session)[_.-]?token|api[_.-]?key)\\{0,3}["']\s{0,8}:\s{0,8}\\{0,3}["']/gi,
    endsAt: '"\'\\\r\n',
  },
  {
    name: 'secret-element',
    lead: /<(?:[\w-]{1,32}:)?[\w.-]{0,64}(?:password|passwd|secret|token)(?:\s[^<>]{0,96})?>/gi,
    endsAt: '<',
  },
  { name: 'credentials-in-url', lead: /https?:\/\/(?=[^\s/@"'<>]{1,200}@)/gi, endsAt: '@/ "\'<>\r\n' },
]
