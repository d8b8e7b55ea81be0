import assert from 'node:assert/strict'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../core/digest.ts'
import { parsePath } from '../core/path.ts'
import type { FileFingerprint } from '../ports/data-plane.ts'
import { loadStatCache, saveStatCache, statCacheFile, type StatCacheEntry } from './stat-cache.ts'

const scratch = mkdtempSync(join(tmpdir(), 'stat-cache-'))
after(() => rmSync(scratch, { recursive: true }))
let folders = 0
const newFolder = (): string => mkdtempSync(join(scratch, `${++folders}-`))

const NOW = Date.UTC(2026, 0, 2)
const OLD_NS = BigInt(NOW - 60_000) * 1_000_000n

function entry(path: string, change: Partial<FileFingerprint> = {}): StatCacheEntry {
  const fingerprint = { ino: 7n, size: 3n, mtimeNs: OLD_NS, ctimeNs: OLD_NS + 1n, ...change }
  return { path: parsePath(path), fingerprint, sha256: sha256(Buffer.from(path)) }
}

describe('the stat cache', () => {
  test('gives back the hash of every file that is unchanged, whatever its name', async () => {
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..')
    const word = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    const file = fc.record({
      ino: word,
      size: word,
      mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: OLD_NS }),
      ctimeNs: fc.bigInt({ min: -(2n ** 63n), max: OLD_NS }),
    })
    const tree = fc.uniqueArray(fc.tuple(name, file), { selector: ([path]) => path, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(tree, async (files) => {
        const entries = files.map(([path, fingerprint]) => entry(path, fingerprint))
        const folder = newFolder()
        await saveStatCache(folder, '/tree', entries, NOW)
        const cache = await loadStatCache(folder, '/tree')
        assert.equal(cache.size, entries.length)
        for (const { path, fingerprint, sha256: hash } of entries) assert.deepEqual(cache.sha256Of(path, fingerprint), new Uint8Array(hash))
      }),
      { numRuns: 50 },
    )
  })

  test('holds many files', async () => {
    const folder = newFolder()
    const entries = Array.from({ length: 5_000 }, (_, index) => entry(`d${index % 50}/${index}`, { ino: BigInt(index) }))
    await saveStatCache(folder, '/tree', entries, NOW)
    const cache = await loadStatCache(folder, '/tree')
    for (const { path, fingerprint, sha256: hash } of entries) assert.deepEqual(cache.sha256Of(path, fingerprint), new Uint8Array(hash))
  })

  test('knows nothing of a file that differs in any part of its fingerprint, or is not listed', async () => {
    const folder = newFolder()
    const { path, fingerprint } = entry('a')
    await saveStatCache(folder, '/tree', [entry('a')], NOW)
    const cache = await loadStatCache(folder, '/tree')
    assert.notEqual(cache.sha256Of(path, fingerprint), undefined)
    for (const part of ['ino', 'size', 'mtimeNs', 'ctimeNs'] as const) {
      assert.equal(cache.sha256Of(path, { ...fingerprint, [part]: fingerprint[part] + 1n }), undefined, part)
    }
    assert.equal(cache.sha256Of(parsePath('b'), fingerprint), undefined)
  })

  test('keeps trees apart', async () => {
    const folder = newFolder()
    await saveStatCache(folder, '/one', [entry('a')], NOW)
    assert.equal((await loadStatCache(folder, '/two')).size, 0)
  })

  test('does not remember a file that may still change within the time stamp it has', async () => {
    const folder = newFolder()
    const justNow = BigInt(NOW) * 1_000_000n
    const entries = [
      entry('young mtime', { mtimeNs: justNow - 1_999_999_999n }),
      entry('young ctime', { ctimeNs: justNow - 1_999_999_999n }),
      entry('just too young', { ctimeNs: justNow - 2_000_000_000n }),
      entry('old enough', { ctimeNs: justNow - 2_000_000_001n }),
      entry('from the future', { mtimeNs: justNow + 10n ** 12n }),
    ]
    await saveStatCache(folder, '/tree', entries, NOW)
    const cache = await loadStatCache(folder, '/tree')
    const known = entries.filter(({ path, fingerprint }) => cache.sha256Of(path, fingerprint) !== undefined)
    assert.deepEqual(
      known.map(({ path }) => path),
      ['old enough'],
    )
  })

  test('is empty after any damage to its file, and is then written anew', async () => {
    const folder = newFolder()
    await saveStatCache(folder, '/tree', [entry('a'), entry('b')], NOW)
    const file = statCacheFile(folder, '/tree')
    const intact = readFileSync(file)
    for (let position = 0; position < intact.length; position++) {
      const damaged = Buffer.from(intact)
      damaged[position] = (damaged[position] ?? 0) ^ 1
      writeFileSync(file, damaged)
      assert.equal((await loadStatCache(folder, '/tree')).size, 0, `byte ${position}`)
      writeFileSync(file, intact.subarray(0, position))
      assert.equal((await loadStatCache(folder, '/tree')).size, 0, `cut after ${position} bytes`)
    }
    await saveStatCache(folder, '/tree', [entry('a')], NOW)
    assert.equal((await loadStatCache(folder, '/tree')).size, 1)
  })

  test('is empty when its file is whole but of another version', async () => {
    const folder = newFolder()
    await saveStatCache(folder, '/tree', [entry('a')], NOW)
    const file = statCacheFile(folder, '/tree')
    const content = readFileSync(file).subarray(0, -32)
    content.writeBigInt64LE(content.readBigInt64LE() + 1n)
    writeFileSync(file, Buffer.concat([content, sha256(content)]))
    assert.equal((await loadStatCache(folder, '/tree')).size, 0)
  })

  test('leaves no other file behind, and forgets trees that were not pushed for a month', async () => {
    const folder = newFolder()
    await saveStatCache(folder, '/unused', [entry('a')], NOW)
    await saveStatCache(folder, '/used', [entry('a')], NOW)
    utimesSync(statCacheFile(folder, '/unused'), new Date(NOW - 40 * 86_400_000), new Date(NOW - 40 * 86_400_000))
    utimesSync(statCacheFile(folder, '/used'), new Date(NOW - 20 * 86_400_000), new Date(NOW - 20 * 86_400_000))
    await saveStatCache(folder, '/new', [entry('a')], NOW)
    assert.equal(readdirSync(join(folder, 'stat')).length, 2)
    assert.equal((await loadStatCache(folder, '/unused')).size, 0)
    assert.equal((await loadStatCache(folder, '/used')).size, 1)
  })
})

test('a file written just now is not remembered, as a change of the same size could leave it the stamps it has', async () => {
  const folder = newFolder()
  const file = join(folder, 'file')
  writeFileSync(file, 'v1')
  const listedAt = Date.now()
  const before = fingerprintOf(file)
  await saveStatCache(folder, folder, [{ path: parsePath('file'), fingerprint: before, sha256: sha256(readFileSync(file)) }], listedAt)
  // A kernel with fine stamps tells the two apart; asking with the first ones is what a coarse one would make of it.
  writeFileSync(file, 'v2')
  const cache = await loadStatCache(folder, folder)
  assert.equal(cache.sha256Of(parsePath('file'), before), undefined)
  assert.equal(cache.sha256Of(parsePath('file'), fingerprintOf(file)), undefined)
})

function fingerprintOf(file: string): FileFingerprint {
  const { ino, size, mtimeNs, ctimeNs } = lstatSync(file, { bigint: true })
  return { ino, size, mtimeNs, ctimeNs }
}
