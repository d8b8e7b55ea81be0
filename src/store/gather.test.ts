import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gather } from './gather.ts'

async function* batches(...made: readonly (readonly number[] | Promise<readonly number[]>)[]): AsyncGenerator<readonly number[]> {
  for (const batch of made) yield await batch
}

describe('gathering batches', () => {
  test('joins those that are there at once, up to the limit', async () => {
    assert.deepEqual(await Array.fromAsync(gather(batches([1], [2, 3], [4], [5]), 3)), [
      [1, 2, 3],
      [4, 5],
    ])
  })

  test('hands on what it has when the next one is long in coming', async () => {
    let release: ((batch: readonly number[]) => void) | undefined
    const late = new Promise<readonly number[]>((resolve) => (release = resolve))
    const gathered = gather(batches([1], late), 100)
    assert.deepEqual(await gathered.next(), { done: false, value: [1] })
    release?.([2])
    assert.deepEqual(await gathered.next(), { done: false, value: [2] })
    assert.equal((await gathered.next()).done, true)
  })

  test('hands on what came before a failure, then the failure', async () => {
    async function* failing(): AsyncGenerator<readonly number[]> {
      yield [1]
      throw new Error('broken')
    }
    const seen: (readonly number[])[] = []
    await assert.rejects(async () => {
      for await (const batch of gather(failing(), 100)) seen.push(batch)
    }, /broken/)
    assert.deepEqual(seen, [[1]])
  })

  test('ends its source when nobody wants more', async () => {
    let ended = false
    async function* endless(): AsyncGenerator<readonly number[]> {
      try {
        for (;;) yield [1]
      } finally {
        ended = true
      }
    }
    for await (const batch of gather(endless(), 5)) {
      assert.equal(batch.length, 5)
      break
    }
    assert.ok(ended)
  })
})
