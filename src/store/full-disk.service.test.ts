import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { StorageFullError } from '../core/errors.ts'
import { assertUsable, assertWhole } from '../testing/pusher.ts'
import { mountTmpfs, serviceTest } from '../testing/service-test.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'

/** More packages than fit on any of the disks. */
const ENOUGH = 2_000
const MIB = 1024 * 1024

interface Package {
  readonly id: string
  readonly content: Buffer
}

interface Variant {
  readonly what: string
  /** What lies on the small disk. */
  readonly parts: readonly ('registry' | 'objects')[]
  readonly options: string
  /** Bytes of a file. */
  readonly size: number
  /** Uses up some of the disk, until it is removed again. */
  readonly fill: (folder: string) => void
}

const fillSpace = (folder: string): void => writeFileSync(join(folder, 'filler'), Buffer.alloc(4 * MIB))
const fillInodes = (folder: string): void => {
  mkdirSync(join(folder, 'filler'))
  for (let number = 0; number < 20; number += 1) writeFileSync(join(folder, 'filler', String(number)), '')
}

const variants: readonly Variant[] = [
  { what: 'space, for small files', parts: ['registry', 'objects'], options: 'size=12m', size: 100_000, fill: fillSpace },
  { what: 'space, for large files', parts: ['registry', 'objects'], options: 'size=16m', size: 2.2 * MIB, fill: fillSpace },
  { what: 'space, for small objects', parts: ['objects'], options: 'size=8m', size: 100_000, fill: fillSpace },
  { what: 'space, for large objects', parts: ['objects'], options: 'size=12m', size: 2.2 * MIB, fill: fillSpace },
  { what: 'space, for the registry', parts: ['registry'], options: 'size=8m', size: 10, fill: fillSpace },
  { what: 'inodes', parts: ['registry', 'objects'], options: 'size=64m,nr_inodes=50', size: 2.2 * MIB, fill: fillInodes },
  { what: 'inodes, for objects', parts: ['objects'], options: 'size=64m,nr_inodes=40', size: 2.2 * MIB, fill: fillInodes },
]

for (const variant of variants) {
  serviceTest(
    `a disk without ${variant.what}: a push fails retryably, nothing acknowledged is lost, and it works again when there is some`,
    ['mount'],
    async (t) => {
      const { directory, disk } = layOut(t, variant)
      const store = await createStore(directory)
      const kept = await pushSome(store, variant.size, 2)
      variant.fill(disk)
      kept.push(...(await pushUntilFull(store, variant.size)))
      for (let attempt = 0; attempt < 3; attempt += 1) await assert.rejects(pushUntilFull(store, variant.size), isFull)
      await assertRead(store, kept)
      assert.equal((await store.health()).status, 'pass')

      rmSync(join(disk, 'filler'), { recursive: true })
      kept.push(...(await pushSome(store, variant.size, 2)))
      await assertAll(store, kept)
      await store.close()
      await assertReopens(directory, kept)
    },
  )

  serviceTest(`a store on a disk without ${variant.what} can be closed, and is whole when it is opened again`, ['mount'], async (t) => {
    const { directory, disk } = layOut(t, variant)
    const store = await createStore(directory)
    const kept = await pushSome(store, variant.size, 2)
    variant.fill(disk)
    kept.push(...(await pushUntilFull(store, variant.size)))
    // What cannot be written any more is said, but everything is let go of.
    await store.close().catch((error: unknown) => assert.ok(isFull(error), String(error)))
    rmSync(join(disk, 'filler'), { recursive: true })
    await assertReopens(directory, kept)
    execFileSync('umount', [disk])
  })
}

/** A folder for a store of which some parts lie on a small disk. */
function layOut(t: TestContext, { parts, options }: Pick<Variant, 'parts' | 'options'>): { readonly directory: string; readonly disk: string } {
  const large = mkdtempSync(join(tmpdir(), 'full-'))
  t.after(() => rmSync(large, { recursive: true, force: true }))
  const disk = mountTmpfs(t, options)
  const directory = join(parts.includes('registry') ? disk : large, 'data')
  const objects = join(parts.includes('objects') ? disk : large, 'elsewhere')
  mkdirSync(directory)
  mkdirSync(objects)
  if (parts.length === 1) symlinkSync(objects, join(directory, 'objects'))
  return { directory, disk }
}

async function pushOne(store: Store, size: number): Promise<Package> {
  // Neither compressible nor known.
  const content = randomBytes(size)
  const draft = await store.packages.open({ repository: 'r' })
  await draft.put('f', content)
  const { id } = await draft.finalize()
  return { id, content }
}

async function pushSome(store: Store, size: number, count: number): Promise<Package[]> {
  const pushed: Package[] = []
  while (pushed.length < count) pushed.push(await pushOne(store, size))
  return pushed
}

/** Pushes until it fails for want of room; fails by itself when that does not happen or does so otherwise. @throws when not even one fits */
async function pushUntilFull(store: Store, size: number): Promise<readonly Package[]> {
  const pushed: Package[] = []
  while (pushed.length < ENOUGH) {
    try {
      pushed.push(await pushOne(store, size))
    } catch (error) {
      assert.ok(isFull(error), String(error))
      if (pushed.length === 0) throw error
      return pushed
    }
  }
  assert.fail('the disk was never full')
}

function isFull(error: unknown): boolean {
  return error instanceof StorageFullError && error.retryable
}

async function assertRead(store: Store, packages: readonly Package[]): Promise<void> {
  for (const { id, content } of packages) {
    assert.ok(Buffer.concat(await Array.fromAsync(store.files.read(id, 'f'))).equals(content), `${id} is not what was stored`)
  }
}

/** Exactly these packages are there, and whole. */
async function assertAll(store: Store, packages: readonly Package[]): Promise<void> {
  await assertRead(store, packages)
  await assertWhole(store)
  const found = new Set<string>()
  for (let after: string | undefined; ;) {
    const page = await store.packages.search({ repository: 'r' }, after === undefined ? {} : { after })
    for (const { id } of page.items) found.add(id)
    after = page.next
    if (after === undefined) break
  }
  assert.deepEqual(found, new Set(packages.map(({ id }) => id)))
}

async function assertReopens(directory: string, packages: readonly Package[]): Promise<void> {
  const store = await openStore(directory)
  await assertAll(store, packages)
  await assertUsable(store)
  await store.close()
}
