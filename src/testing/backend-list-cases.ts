import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { parseObjectKey } from '../ports/backend.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import { keysOf, newKey } from './backend-case.ts'
import type { CheckBackend } from './backend-case.ts'

/** What `list` promises. */
export function listCases(check: CheckBackend): void {
  describe('list', () => {
    check('is empty in an empty backend', async ({ backend }) => {
      assert.deepEqual(await keysOf(backend), [])
      assert.deepEqual(await keysOf(backend, 'nothing/here'), [])
    })

    check('gives thousands of keys in byte order, from any point, by any prefix', async ({ backend }) => {
      const keys = await putMany(backend)
      const expected = keys.toSorted(byBytes)
      assert.deepEqual(await keysOf(backend), expected)
      const points = [
        '',
        'a',
        'a/b',
        'a-b',
        's0',
        's0/',
        's0/w3',
        's0/w3/',
        's0/w3/k1',
        's0/w30',
        's1/w0/k-00',
        's1/w9/zz',
        'zz',
        ...expected.slice(0, 3),
      ]
      for (const prefix of points) {
        assert.deepEqual(
          await keysOf(backend, prefix),
          expected.filter((key) => key.startsWith(prefix)),
          `prefix ${prefix}`,
        )
      }
      for (const point of [...points.filter((text) => text !== '' && !text.endsWith('/')), ...expected.slice(-3)]) {
        const after = parseObjectKey(point)
        assert.deepEqual(
          await keysOf(backend, '', after),
          expected.filter((key) => byBytes(key, after) > 0),
          `after ${after}`,
        )
        const part = expected.filter((key) => key.startsWith('s0/w') && byBytes(key, after) > 0)
        assert.deepEqual(await keysOf(backend, 's0/w', after), part, `s0/w after ${after}`)
      }
    })

    check('tells sizes', async ({ backend }) => {
      const key = newKey()
      await backend.put(key, [randomBytes(12_345)])
      for await (const info of backend.list('')) assert.deepEqual(info, { key, size: 12_345 })
    })

    check('of a prefix that leads out finds nothing', async ({ backend }) => {
      await backend.put(newKey(), [Buffer.from('x')])
      for (const prefix of ['/', '../', '..', './', 's/../', '\0', '//', '.hidden/'])
        assert.deepEqual(await keysOf(backend, prefix), [], JSON.stringify(prefix))
    })

    check('may be left early, and goes on while objects come and go', async ({ backend }) => {
      const folder = newKey()
      const keys = Array.from({ length: 20 }, (_, index) => parseObjectKey(`${folder}/${String(index).padStart(2, '0')}/x`))
      for (const key of keys) await backend.put(key, [Buffer.from('x')])
      for await (const info of backend.list('')) {
        assert.equal(info.key, keys[0])
        break
      }
      const seen: string[] = []
      for await (const info of backend.list('')) {
        seen.push(info.key)
        for (const key of keys.slice(5, 10)) await backend.delete(key)
      }
      for (const key of keys.toSpliced(5, 5)) assert.ok(seen.includes(key), key)
    })
  })
}

/** More than 2,000 small objects whose keys put folders, files and characters before and after `/` beside one another. */
async function putMany(backend: Backend): Promise<readonly ObjectKey[]> {
  const names = ['a-b', 'a.b', 'a/b', 'a0', 'a_b', 'aA', 's0-', 's0.x', 's00', 'zz/-', 'zz/0/1/2/3']
  for (const store of ['s0', 's1']) {
    for (let writer = 0; writer < 10; writer += 1)
      for (let index = 0; index < 110; index += 1) names.push(`${store}/w${String(writer)}/k${String(index)}`)
  }
  names.push('s0/w3-/k', 's0/w3.k', 's0/w30/k', 's1/w0/k-0')
  const keys = names.map(parseObjectKey)
  for (let start = 0; start < keys.length; start += 50) {
    await Promise.all(keys.slice(start, start + 50).map((key) => backend.put(key, [Buffer.from(key)])))
  }
  return keys
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
