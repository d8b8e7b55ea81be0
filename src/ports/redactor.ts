/**
 * Takes secrets out of what is stored, before any digest is computed. One redactor serves one package: it remembers what it took out, never what that
 * was.
 */
export interface Redactor {
  /**
   * The bytes of a file without its secrets, as they arrive; a bounded part is held back. Bytes that hold no secret come out as they went in.
   * @param path path in the package, by which a redactor may decide what to look for
   */
  redact(path: string, source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
  /** How often each rule matched so far. Rules that never did are left out. */
  matches(): ReadonlyMap<string, number>
}
