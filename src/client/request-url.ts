import { InputInvalidError } from '../core/errors.ts'

/** Values of a query by name; what is undefined is left out. */
export type Query = Readonly<Record<string, string | number | undefined>>

/**
 * Reads the address of a server: `http` or `https`, a path in front of the API is kept.
 * @returns the address with a slash at its end
 * @throws InputInvalidError; never with a password in its message
 */
export function parseServerUrl(text: string): string {
  if (!URL.canParse(text)) throw new InputInvalidError('not the address of a server (expected http://host:port or https://host)')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new InputInvalidError(`not the address of a server: it begins with ${url.protocol} (expected http: or https:)`)
  }
  if (url.username !== '' || url.password !== '')
    throw new InputInvalidError('the address of a server may not hold a name or a password: give a token')
  if (url.search !== '' || url.hash !== '') throw new InputInvalidError('the address of a server has no query and no fragment')
  return url.href.endsWith('/') ? url.href : `${url.href}/`
}

/** A path below the API of these components, each percent-encoded whole, and a query. */
export function requestPath(components: readonly string[], query: Query = {}): string {
  const path = components.map(encodeURIComponent).join('/')
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  )
  return parameters.length === 0 ? path : `${path}?${parameters.join('&')}`
}
