import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { AbortedError, DamagedError, DigestMismatchError, ObjectMissingError } from '../core/errors.ts'
import type { DataPlane, MovedEntry, PackContents } from '../ports/data-plane.ts'
import {
  bytesItem,
  type CheckDataPlane,
  type DataPlaneCase,
  failure,
  ingest,
  readAll,
  sha256Of,
  store,
  type StoredBlob,
  tamper,
} from './data-plane-rig.ts'

const MIB = 1024 * 1024

interface Prepared {
  readonly contents: readonly Buffer[]
  readonly blobs: readonly StoredBlob[]
  readonly plane: DataPlane
  readonly contained: PackContents
}

/** A pack with blobs of several kinds, and what is in it. */
async function prepared({ plane, host, open }: DataPlaneCase): Promise<Prepared> {
  const contents = [
    randomBytes(0),
    randomBytes(700),
    Buffer.alloc(9_000, 'words '),
    ...Array.from({ length: 40 }, () => randomBytes(60_000)),
    Buffer.alloc(MIB, 'more '),
    randomBytes(3 * MIB + 5),
  ]
  const items = contents.map((bytes, index) => bytesItem(bytes, index === 1 ? { content: 'manifest' } : {}))
  const blobs = await store(plane, items)
  await plane.close()
  const reader = await open()
  return { contents, blobs, plane: reader, contained: await reader.contents(host.keyOf(packOf(blobs))) }
}

function packOf(blobs: readonly StoredBlob[]): number {
  const packs = new Set(blobs.filter(({ placement }) => placement.kind === 'pack').map(({ placement }) => placement.objectId))
  assert.equal(packs.size, 1)
  return [...packs][0] ?? 0
}

async function move(plane: DataPlane, pack: Parameters<DataPlane['compact']>[0], entries: PackContents['entries']): Promise<readonly MovedEntry[]> {
  return (await Array.fromAsync(plane.compact(pack, entries))).flat()
}

/** Cases of looking through packs, moving what is in them, and ending them. */
export function compactionCases(check: CheckDataPlane): void {
  describe('contents', () => {
    check('every entry of a pack is listed with its kind, records too', async (found) => {
      const { contents, blobs, contained } = await prepared(found)
      const { entries, isComplete, size, damage } = contained
      assert.deepEqual([isComplete, damage], [true, []])
      assert.equal(size, (await found.backend.head(found.host.keyOf(packOf(blobs))))?.size)
      const small = contents.slice(0, -1)
      const listed = new Map(entries.map((entry) => [entry.kind === 'placement' ? 'placement' : Buffer.from(entry.digest).toString('hex'), entry]))
      for (const [index, bytes] of small.entries()) {
        const entry = listed.get(sha256Of(bytes).toString('hex'))
        assert.deepEqual(
          [entry?.size, entry?.kind, entry?.offset],
          [bytes.length, index === 1 ? 'manifest' : 'chunk', blobs[index]?.placement.offset],
        )
      }
      // Without append the record of a large blob is put with whatever is flushed with it.
      const whole = blobs.at(-1)
      const placement = listed.get('placement')
      if (placement !== undefined || found.backend.capabilities.append)
        assert.equal(placement?.object, found.host.keyOf(whole?.placement.objectId ?? 0))
      assert.equal(entries.length, small.length + (placement === undefined ? 0 : 1))
    })

    check('a pack that was never ended is read through', async ({ plane, host, open, backend }) => {
      const blobs = await store(plane, [bytesItem(randomBytes(500)), bytesItem(randomBytes(70_000))])
      const key = host.keyOf(packOf(blobs))
      if ((await backend.head(key)) === undefined) return
      await plane.abandon()
      const { entries, isComplete } = await (await open()).contents(key)
      assert.equal(isComplete, !backend.capabilities.append)
      assert.equal(entries.length, 2)
    })

    check('an object that is not there is missing', async ({ plane, host }) => {
      const { key } = await host.allocate('pack')
      await assert.rejects(plane.contents(key), ObjectMissingError)
    })
  })

  describe('compact', () => {
    check('entries are the same elsewhere, and what was not asked for is not there', async (found) => {
      const { contents, blobs, contained, plane } = await prepared(found)
      const key = found.host.keyOf(packOf(blobs))
      const wanted = contained.entries.filter((_, index) => index % 3 !== 1)
      const moved = await move(plane, key, wanted)
      assert.deepEqual(
        moved.map(({ entry }) => entry.offset),
        wanted.map(({ offset }) => offset).toSorted((left, right) => left - right),
      )
      await found.backend.delete(key)
      await plane.close()
      const reader = await found.open()
      for (const { entry, placement } of moved) {
        if (entry.kind === 'placement') continue
        const bytes = contents.find((content) => sha256Of(content).equals(entry.digest))
        assert.ok(bytes !== undefined)
        const location = found.host.locate({ index: 0, digest: entry.digest, size: entry.size, placement })
        assert.ok((await readAll(reader, [location])).equals(bytes))
        const [verified] = await Array.fromAsync(reader.verify([location]))
        assert.equal(verified?.problem, undefined)
      }
      const copies = await reader.contents(found.host.keyOf(moved[0]?.placement.objectId ?? 0))
      assert.deepEqual(
        copies.entries.map(({ kind, digest }) => [kind, Buffer.from(digest).toString('hex')]),
        moved.map(({ entry }) => [entry.kind, Buffer.from(entry.digest).toString('hex')]),
      )
    })

    check('an entry that is not what it was ends it, and nothing of it is copied', async (found) => {
      const { blobs, contained, plane } = await prepared(found)
      const key = found.host.keyOf(packOf(blobs))
      const victim = contained.entries[20]
      assert.ok(victim !== undefined)
      for (const at of [victim.offset + 5, victim.offset - 30]) {
        await tamper(found.backend, key, (bytes) => {
          bytes[at] = (bytes[at] ?? 0) ^ 0xff
          return bytes
        })
        await assert.rejects(move(plane, key, contained.entries), (error) => error instanceof DamagedError && error.detail['key'] === key)
        assert.equal(
          (
            await move(
              plane,
              key,
              contained.entries.filter((entry) => entry !== victim),
            )
          ).length,
          contained.entries.length - 1,
        )
        await tamper(found.backend, key, (bytes) => {
          bytes[at] = (bytes[at] ?? 0) ^ 0xff
          return bytes
        })
      }
      assert.equal((await move(plane, key, contained.entries)).length, contained.entries.length)
    })

    check('it can be stopped, and runs beside pushes', async (found) => {
      const { blobs, contained, plane } = await prepared(found)
      const key = found.host.keyOf(packOf(blobs))
      await assert.rejects(Array.fromAsync(plane.compact(key, contained.entries, { signal: AbortSignal.abort() })), AbortedError)
      const fresh = Array.from({ length: 50 }, () => randomBytes(30_000))
      const [moved, outcomes] = await Promise.all([
        move(plane, key, contained.entries),
        store(
          plane,
          fresh.map((bytes) => bytesItem(bytes)),
        ),
      ])
      assert.equal(moved.length, contained.entries.length)
      for (const [index, outcome] of outcomes.entries())
        assert.ok((await readAll(plane, [found.host.locate(outcome)])).equals(fresh[index] ?? Buffer.alloc(0)))
    })
  })

  describe('seal', () => {
    check('ends the open pack, and the next bytes go into another one', async ({ plane, host, open }) => {
      const [first] = await store(plane, [bytesItem(randomBytes(500))])
      await plane.seal()
      await plane.seal()
      const [second] = await store(plane, [bytesItem(randomBytes(500))])
      assert.ok(first !== undefined && second !== undefined)
      assert.notEqual(first.placement.objectId, second.placement.objectId)
      assert.equal(host.sealedPacks.get(first.placement.objectId)?.entries, 1)
      assert.equal((await (await open()).contents(host.keyOf(first.placement.objectId))).isComplete, true)
    })
  })

  describe('an object that is not needed after all', () => {
    check('is told to the store, and gone', async ({ plane, host, backend }) => {
      const large = randomBytes(3 * MIB)
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield large
        throw new Error('the source broke off')
      }
      const outcomes = await ingest(plane, [
        bytesItem(large, { expectedDigest: sha256Of(Buffer.from('something else')) }),
        { source: { kind: 'stream', stream: broken() } },
      ])
      assert.ok(failure(outcomes[0]) instanceof DigestMismatchError)
      failure(outcomes[1])
      await ingest(plane, [bytesItem(large)], async (blobs) => blobs.map(() => true))
      assert.equal(host.droppedObjects.size, 3)
      for (const id of host.droppedObjects) assert.equal(await backend.head(host.keyOf(id)), undefined)
    })
  })
}
