import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { StorageFullError, StoreReadOnlyError } from '../core/errors.ts'
import { canAppend } from '../ports/backend.ts'
import type { Backend } from '../ports/backend.ts'
import { bytesItem, ingest, readAll, store, stored, TestHost } from './data-plane-rig.ts'
import type { CheckDataPlane } from './data-plane-rig.ts'
import { faultyBackend } from './faulty-backend.ts'
import type { FaultyBackend } from './faulty-backend.ts'

const MIB = 1024 * 1024

function faulty(backend: Backend): FaultyBackend | undefined {
  return canAppend(backend) ? faultyBackend(backend) : undefined
}

/** Cases of writers that were given up, and of backends that fail; the latter need one that declares `append`. */
export function faultCases(check: CheckDataPlane): void {
  describe('faults', () => {
    check('a pack that was let go of is not written to again; what comes next goes into another one', async ({ backend, host, plane }) => {
      const contents = [randomBytes(100), randomBytes(200)]
      const [first] = await store(plane, [bytesItem(contents[0] ?? assert.fail())])
      await plane.abandon()
      const [second] = await store(plane, [bytesItem(contents[1] ?? assert.fail())])
      assert.notEqual(first?.placement.objectId, second?.placement.objectId)
      const size = (await backend.head(host.keyOf(first?.placement.objectId ?? 0)))?.size
      await plane.abandon()
      await plane.abandon()
      await plane.close()
      assert.equal((await backend.head(host.keyOf(first?.placement.objectId ?? 0)))?.size, size)
    })

    for (const size of [1000, 3 * MIB]) {
      check(
        `a flush that fails is final, nothing of it is acknowledged, and the store is told (${String(size)} bytes)`,
        async ({ t, backend, open }) => {
          const failing = faulty(backend)
          if (failing === undefined) return t.skip('the backend cannot append')
          const host = new TestHost()
          const plane = await open(failing, host)
          const before = randomBytes(100)
          const [kept] = await ingest(plane, [bytesItem(before)])
          failing.faults.flushFails = true
          await assert.rejects(ingest(plane, [bytesItem(randomBytes(size))]), StoreReadOnlyError)
          assert.ok(host.failures.length > 0 && host.failures.every((error) => error instanceof StoreReadOnlyError))
          failing.faults.flushFails = false
          await assert.rejects(ingest(plane, [bytesItem(randomBytes(size))]), StoreReadOnlyError)
          assert.ok((await readAll(plane, [host.locate(stored(kept))])).equals(before), 'reading goes on')
        },
      )

      check(
        `a full disk ends the call, the store is told, and it goes on when there is space again (${String(size)} bytes)`,
        async ({ t, backend, open }) => {
          const failing = faulty(backend)
          if (failing === undefined) return t.skip('the backend cannot append')
          const host = new TestHost()
          const plane = await open(failing, host)
          const before = randomBytes(100)
          const [kept] = await ingest(plane, [bytesItem(before)])
          failing.faults.spaceLeft = 10
          await assert.rejects(ingest(plane, [bytesItem(randomBytes(size))]), StorageFullError)
          assert.ok(host.failures.length > 0 && host.failures.every((error) => error instanceof StorageFullError))
          failing.faults.spaceLeft = Infinity
          const after = randomBytes(size)
          const [again] = await ingest(plane, [bytesItem(after)])
          assert.ok((await readAll(plane, [host.locate(stored(kept))])).equals(before))
          assert.ok((await readAll(plane, [host.locate(stored(again))])).equals(after))
        },
      )
    }
  })
}
