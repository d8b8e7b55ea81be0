import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { posix } from 'node:path'
import fc from 'fast-check'
import { parsePath } from './path.ts'
import { checkSymlink, symlinkProblems } from './symlink.ts'

interface Link {
  readonly path: string
  readonly target: string
}
interface Vectors {
  readonly accepted: readonly Link[]
  readonly refused: readonly Link[]
  readonly together: readonly { readonly links: readonly Link[]; readonly refused: readonly string[] }[]
}
const vectors = JSON.parse(readFileSync(new URL('../../docs/format/vectors/package-v1/symlinks.json', import.meta.url), 'utf8')) as Vectors

describe('a symbolic link', () => {
  for (const { path, target } of vectors.accepted) {
    test(`${JSON.stringify(`${path} -> ${target}`)} is kept`, () => assert.equal(checkSymlink(parsePath(path), target), undefined))
  }
  for (const { path, target } of vectors.refused) {
    test(`${JSON.stringify(`${path} -> ${target}`.slice(0, 40))} is refused`, () => assert.notEqual(checkSymlink(parsePath(path), target), undefined))
  }
  for (const { links, refused } of vectors.together) {
    test(`is refused together with others: ${JSON.stringify(links)}`, () => {
      const found = symlinkProblems(links.map(({ path, target }) => ({ path: parsePath(path), target })))
      assert.deepEqual(
        found.map(({ path }) => path),
        refused,
      )
    })
  }

  test('never leads out, however links are combined', () => {
    const name = fc.constantFrom('a', 'b')
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
    const target = fc.array(fc.constantFrom('a', 'b', '..', '.'), { minLength: 1, maxLength: 5 }).map((steps) => steps.join('/'))
    const tree = fc.uniqueArray(fc.record({ path, target }), { minLength: 1, maxLength: 4, selector: (link) => link.path })
    fc.assert(
      fc.property(tree, (given) => {
        // A link is no directory, so nothing lies below another link.
        const links = given.filter((link) => !given.some((other) => link.path.startsWith(`${other.path}/`)))
        const kept = links
          .map((link) => ({ path: parsePath(link.path), target: link.target }))
          .filter((link) => checkSymlink(link.path, link.target) === undefined)
        fc.pre(symlinkProblems(kept).length === 0)
        const targets = new Map(kept.map((link) => [String(link.path), link.target]))
        for (const link of kept) assert.notEqual(follow(targets, link.path), 'out', JSON.stringify([...targets]))
      }),
      { numRuns: 3000 },
    )
  })
})

/** Follows a link as a kernel does, taking every directory that is no link for real. */
function follow(targets: ReadonlyMap<string, string>, path: string): string {
  let place = posix.dirname(path)
  const pending = (targets.get(path) ?? '').split('/')
  for (let steps = 0; pending.length > 0 && steps < 1000; steps++) {
    const step = pending.shift() ?? '.'
    if (step === '..' && place === '.') return 'out'
    const next = posix.join(place, step)
    const target = step === '..' || step === '.' ? undefined : targets.get(next)
    if (target === undefined) place = next
    else pending.unshift(...target.split('/'))
  }
  return place
}
