/**
 * Headers that let a browser save bytes that somebody stored, but never run them in the context of this server (RFC 6266; Content Security Policy
 * level 3, `sandbox`).
 * @param path path of what is downloaded; its last component becomes the suggested name
 */
export function attachmentHeaders(path: string): Readonly<Record<string, string>> {
  const name = path.slice(path.lastIndexOf('/') + 1)
  // RFC 8187: everything but attr-char is percent-encoded.
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return {
    'Content-Disposition': `attachment; filename*=UTF-8''${encoded}`,
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'X-Content-Type-Options': 'nosniff',
  }
}
