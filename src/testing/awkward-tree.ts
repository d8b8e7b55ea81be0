import { chmodSync, closeSync, linkSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync, writeSync } from 'node:fs'

const SPARSE_PIECES = 30
const PIECE_BYTES = 8 * 1024

/**
 * Fills a new folder with what is awkward and can be stored: names of 255 bytes, with newlines, beyond ASCII and ASCII's control characters, long
 * paths, empty files and directories, executables, links (hard ones too) and sparse files. The same on every call, so that its package has one digest.
 */
export function makeAwkwardTree(folder: string): void {
  makeShortTree(folder)
  const file = (path: string, content: string): void => writeFileSync(`${folder}/${path}`, content)
  file('n'.repeat(255), 'a name of 255 bytes')
  file('ü'.repeat(127), 'a name of 254 bytes in 127 characters')
  file('new\nline', 'a name of two lines')
  file('tab\tand\\backslash "quoted" \u0001', 'control characters')
  file('\u65e5\u672c\u8a9e.json', '{}')
  file('\u{1f600}', 'beyond the basic plane')
  file('\ufffd', 'a replacement character that was really there')
  file(' leading and trailing blanks ', 'blanks')
  const deep = Array.from({ length: 15 }, (_, level) => `level-${level}-${'x'.repeat(30)}`).join('/')
  mkdirSync(`${folder}/${deep}`, { recursive: true })
  file(`${deep}/bottom.txt`, 'a path of several hundred bytes')
  symlinkSync(`${'../'.repeat(15)}plain.txt`, `${folder}/${deep}/top`)
  symlinkSync(`${deep}/bottom.txt`, `${folder}/links/long`)
  makeSparse(`${folder}/sparse`)
}

/** The part of the tree whose names and links fit every archive format there ever was. */
export function makeShortTree(folder: string): void {
  mkdirSync(`${folder}/bin`, { recursive: true })
  mkdirSync(`${folder}/links`)
  mkdirSync(`${folder}/empty/inside`, { recursive: true })
  writeFileSync(`${folder}/plain.txt`, 'plain\n')
  writeFileSync(`${folder}/nothing`, '')
  writeFileSync(`${folder}/bin/run`, '#!/bin/sh\n')
  chmodSync(`${folder}/bin/run`, 0o755)
  // Executable for others is not executable.
  writeFileSync(`${folder}/bin/others`, '#!/bin/sh\n')
  chmodSync(`${folder}/bin/others`, 0o655)
  writeFileSync(`${folder}/a-file.bin`, Buffer.alloc(3 * 1024 * 1024 + 17, 'large '))
  linkSync(`${folder}/bin/run`, `${folder}/run-again`)
  symlinkSync('../plain.txt', `${folder}/links/up`)
  symlinkSync('missing', `${folder}/links/dangling`)
  symlinkSync('..', `${folder}/links/tree`)
}

/** Data and holes by turns, more of them than fit into one header, and a hole at the end. */
function makeSparse(place: string): void {
  const file = openSync(place, 'wx')
  for (let piece = 0; piece < SPARSE_PIECES; piece++) writeSync(file, Buffer.alloc(4096, `piece ${piece} `), 0, 4096, piece * 2 * PIECE_BYTES)
  closeSync(file)
  truncateSync(place, SPARSE_PIECES * 2 * PIECE_BYTES + 1)
}
