import { styleText } from 'node:util'

/** Marks that make text easier to scan; each returns its argument unchanged where colours are not wanted. */
export interface Style {
  readonly strong: (text: string) => string
  readonly faint: (text: string) => string
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
}

const plain = (text: string): string => text

/** @param colours whether the reader is a terminal that wants them, see {@link wantsColours} */
export function createStyle(colours: boolean): Style {
  if (!colours) return { strong: plain, faint: plain, good: plain, bad: plain }
  const mark =
    (format: 'bold' | 'dim' | 'green' | 'red') =>
    (text: string): string =>
      styleText(format, text, { validateStream: false })
  return { strong: mark('bold'), faint: mark('dim'), good: mark('green'), bad: mark('red') }
}

/** True for a terminal, unless `NO_COLOR` is set to anything (no-color.org) or the terminal is `dumb`. */
export function wantsColours(stream: { readonly isTTY?: boolean }, environment: Readonly<Record<string, string | undefined>>): boolean {
  if (stream.isTTY !== true) return false
  return (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb'
}
