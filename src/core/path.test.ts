import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError, PathInvalidError } from './errors.ts'
import {
  comparePaths,
  displayBytes,
  displayPath,
  normalForm,
  parsePath,
  pathFromBytes,
  PathConflicts,
  twinProblem,
  type EntryKind,
  type FilePath,
} from './path.ts'

interface Vectors {
  readonly valid: readonly string[]
  readonly invalid: readonly string[]
  readonly invalidBytes: readonly string[]
  readonly sorted: readonly string[]
  readonly conflicts: readonly { readonly entries: readonly string[]; readonly refused: readonly string[] }[]
}
const vectors = JSON.parse(readFileSync(new URL('../../docs/format/vectors/package-v1/paths.json', import.meta.url), 'utf8')) as Vectors

interface Entry {
  readonly path: FilePath
  readonly kind: EntryKind
}

const anyPath = fc
  .array(
    fc.string({
      unit: fc.constantFrom('a', 'b', '-', '/', '.', '\u00e9', 'e\u0301', 'K', '\u212a', '\u{1F600}', '\uff5e'),
      minLength: 1,
      maxLength: 6,
    }),
  )
  .map((parts) => parts.join('/'))

describe('a path', () => {
  for (const path of vectors.valid) {
    test(`can be ${JSON.stringify(path.slice(0, 40))}`, () => {
      assert.equal(parsePath(path), path)
      assert.equal(pathFromBytes(Buffer.from(path)), path)
    })
  }
  for (const path of vectors.invalid) {
    test(`cannot be ${JSON.stringify(path.slice(0, 40))} of length ${path.length}`, () => assert.throws(() => parsePath(path), PathInvalidError))
  }
  for (const hex of vectors.invalidBytes) {
    test(`cannot be the bytes ${hex}`, () =>
      assert.throws(() => pathFromBytes(Buffer.from(hex, 'hex')), { code: 'path_invalid', message: /not valid UTF-8/ }))
  }

  test('may take 4,096 bytes and no more, whatever it is made of', () => {
    const components = (character: string, bytes: number): string => {
      const width = Buffer.byteLength(character)
      const full = `${character.repeat(Math.floor(252 / width))}/`
      const whole = full.repeat(16)
      return whole + character.repeat(Math.floor((bytes - Buffer.byteLength(whole)) / width))
    }
    for (const character of ['a', '\u00e9', '\u{1F600}']) {
      assert.equal(Buffer.byteLength(components(character, 4096)), 4096)
      parsePath(components(character, 4096))
      assert.throws(() => parsePath(`${components(character, 4096)}a`), { message: /longer than 4096 bytes/ })
    }
  })

  test('names itself and the broken rule, escaped, when it is refused', () => {
    assert.throws(() => parsePath('a\n/../b'), { message: 'path "a\\u{a}/../b" has a component ".."' })
  })

  test('is shown on one line without ambiguity', () => {
    assert.equal(displayPath('a\nb\u001b[31m\u202e\u2028\ud800 é日\u{1F600}\\n'), 'a\\u{a}b\\u{1b}[31m\\u{202e}\\u{2028}\\u{d800} é日\u{1F600}\\\\n')
    assert.equal(displayBytes(Buffer.from([0x61, 0xff, 0x0a, 0x5c])), 'a\\xff\\x0a\\x5c')
    assert.equal(displayBytes(Buffer.from('é')), 'é')
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => a === b || displayPath(a) !== displayPath(b)))
  })
})

describe('the order of paths', () => {
  test('is that of the vectors', () => {
    assert.deepEqual(vectors.sorted.toReversed().toSorted(comparePaths), vectors.sorted)
  })

  test('is that of UTF-8 bytes', () => {
    const text = fc.string({
      unit: fc.oneof(fc.constantFrom('a', '/', '\ue000', '\uff5e', '\ud7ff', '\u{10000}'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
    })
    fc.assert(fc.property(text, text, (a, b) => assert.equal(Math.sign(comparePaths(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)))))
  })
})

describe('conflicts between paths', () => {
  for (const { entries, refused } of vectors.conflicts) {
    test(`of ${JSON.stringify(entries)} are found`, () => {
      const parsed = entries.map((entry) => {
        const [kind, path] = entry.split(/ (.*)/s)
        return { kind: kind as EntryKind, path: parsePath(path ?? '') }
      })
      assert.deepEqual(allProblems(parsed), refused)
    })
  }

  test('are refused to be looked for out of order', () => {
    const conflicts = new PathConflicts()
    conflicts.add(parsePath('b'), 'file')
    assert.throws(() => conflicts.add(parsePath('a'), 'file'), InputInvalidError)
  })

  test('are found exactly where a comparison of all pairs finds some', () => {
    const name = fc.constantFrom('a', 'a-', 'b', 'K', '\u212a', '\u00e9', 'e\u0301', 'a\u0323\u0307', 'a\u0307\u0323', '\u1e05')
    const entry = fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => parsePath(names.join('/'))),
      kind: fc.constantFrom<EntryKind>('file', 'symlink', 'directory'),
    })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), (entries) =>
        assert.equal(allProblems(entries).length > 0, anyConflict(entries), JSON.stringify(entries)),
      ),
      { numRuns: 5000 },
    )
  })

  test('take no memory in a tree whose names are normalised', () => {
    const conflicts = new PathConflicts()
    for (let index = 0; index < 1000; index++) conflicts.add(parsePath(`d\u00e9/${String(index).padStart(4, '0')}`), 'file')
    assert.equal(conflicts.twinsToCheck().size, 0)
  })

  test('remember a directory once, however much lies in it', () => {
    const conflicts = new PathConflicts()
    for (let index = 0; index < 1000; index++) conflicts.add(parsePath(`de\u0301/${String(index).padStart(4, '0')}`), 'file')
    assert.deepEqual([...conflicts.twinsToCheck()], [['d\u00e9', 'de\u0301']])
  })
})

describe('empty directories', () => {
  test('are those below which nothing was added', () => {
    const conflicts = new PathConflicts()
    for (const [path, kind] of [
      ['a', 'directory'],
      ['a-b', 'directory'],
      ['a/b', 'directory'],
      ['a/b/c', 'file'],
      ['d', 'directory'],
      ['d/e', 'directory'],
      ['z', 'directory'],
    ] as const) {
      conflicts.add(parsePath(path), kind)
    }
    assert.deepEqual(conflicts.emptyDirectories(), ['a-b', 'd/e', 'z'])
    assert.deepEqual(conflicts.problems(), [])
  })
})

test('normalising is NFC', () => {
  assert.equal(normalForm('e\u0301'), '\u00e9')
  fc.assert(fc.property(anyPath, (path) => assert.equal(normalForm(normalForm(path)), normalForm(path))))
})

/** What a caller with a sorted list does: adds, then looks the remembered halves of twins up. Names of the refused, without doubles. */
function allProblems(entries: readonly Entry[]): readonly string[] {
  const conflicts = new PathConflicts()
  const sorted = entries.toSorted((left, right) => comparePaths(left.path, right.path))
  for (const { path, kind } of sorted) conflicts.add(path, kind)
  const twins = [...conflicts.twinsToCheck()].flatMap(([normal, found]) =>
    sorted.some(({ path }) => path === normal || path.startsWith(`${normal}/`)) ? [twinProblem(found, normal)] : [],
  )
  return [...new Set([...conflicts.problems(), ...twins].map(({ path }) => path))]
}

/** The rule itself, in quadratic time: docs/format/package.md, "Paths". */
function anyConflict(entries: readonly Entry[]): boolean {
  const parents = ({ path }: Entry): string[] => path.split('/').map((_, index, names) => names.slice(0, index + 1).join('/'))
  const names = [...new Set(entries.flatMap(parents))]
  const doubled = new Set(entries.map(({ path }) => path)).size < entries.length
  const below = entries.some((entry) => entries.some((other) => entry.kind !== 'directory' && other.path.startsWith(`${entry.path}/`)))
  const twins = new Set(names.map((name) => name.normalize('NFC'))).size < names.length
  return doubled || below || twins
}
