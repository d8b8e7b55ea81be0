/** Stored bytes are damaged: over the network it is told as it is in the process, by name and never as silent wrong bytes. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parseDigest, rawSha256 } from '../core/digest.ts'
import { startServer } from '../http/server.ts'
import type { Store } from '../store/interface.ts'
import { openStore } from '../store/open.ts'
import { rejectsWith } from '../testing/store-case.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { connect } from './client.ts'

const { address, store: embedded, directory } = await serveNewStore({ report: () => undefined })
/** Bytes that cannot be compressed, so that they are found in the objects as they are. */
function content(name: string, size: number): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())).subarray(
    0,
    size,
  )
}

const SMALL_SIZE = 3_000
const LARGE_SIZE = 9 * 1024 * 1024
const small = new Map(Array.from({ length: 60 }, (_, index) => [`d/f${index}`, content(`f${index}`, SMALL_SIZE)]))
const large = content('large', LARGE_SIZE)
const last = content('z', 5 * 1024 * 1024)

let store: Store
let id = ''
before(async () => {
  store = await connect(address, { retries: 2 })
  const draft = await embedded.packages.open({ repository: 'damaged', fileSets: [{ name: 'large', match: ['large'] }] })
  for (const [path, bytes] of small) await draft.put(path, bytes)
  await draft.put('large', large)
  await draft.put('z', last)
  id = (await draft.finalize()).id
  damage(content('f7', SMALL_SIZE).subarray(100, 200))
  damage(content('f30', SMALL_SIZE).subarray(100, 200))
  // In the sixth of nine blocks.
  damage(large.subarray(5.5 * 1024 * 1024, 5.5 * 1024 * 1024 + 100))
})
after(() => store.close())

/** Flips a byte some way behind the beginning of these bytes. */
function damage(known: Uint8Array, behind = 50): void {
  let found = 0
  for (const file of globSync(join(directory, 'store/objects/**/*'), { withFileTypes: true }).filter((entry) => entry.isFile())) {
    const path = join(file.parentPath, file.name)
    const bytes = readFileSync(path)
    const at = bytes.indexOf(known)
    if (at === -1) continue
    bytes[at + behind] = (bytes[at + behind] ?? 0) ^ 1
    writeFileSync(path, bytes)
    found += 1
  }
  assert.equal(found, 1)
}

async function read(path: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.files.read(id, path)))
}

describe('over the network', () => {
  test('a damaged file is named, the others are read', async () => {
    const error = await rejectsWith('damaged', read('d/f7'))
    assert.match(error.message, /is damaged/)
    assert.ok((await read('d/f8')).equals(content('f8', SMALL_SIZE)))
  })

  test('of a large one all comes that is not damaged, then it is named', async () => {
    const pieces: Uint8Array[] = []
    await rejectsWith(
      'damaged',
      (async () => {
        for await (const piece of store.files.read(id, 'large')) pieces.push(Buffer.from(piece))
      })(),
    )
    const whole = Buffer.concat(pieces)
    assert.ok(whole.length >= 4 * 1024 * 1024 && whole.equals(large.subarray(0, whole.length)), `${whole.length} bytes`)
  })

  test('of many files each is read or named, once', async () => {
    const outcomes = new Map<string, string>()
    for await (const item of store.files.readMany(id)) {
      const { path } = item.file
      assert.ok(!outcomes.has(path))
      if ('error' in item) outcomes.set(path, item.error.code)
      else if ('bytes' in item) outcomes.set(path, small.get(path)?.equals(item.bytes) === true ? 'same' : 'other')
      else outcomes.set(path, await ending(item.stream))
    }
    assert.equal(outcomes.size, 62)
    assert.deepEqual(
      [...outcomes].filter(([, outcome]) => outcome !== 'same').toSorted(([left], [right]) => (left < right ? -1 : 1)),
      [
        ['d/f30', 'damaged'],
        ['d/f7', 'damaged'],
        ['large', 'damaged'],
      ],
    )
  })

  test('a verification tells of each', async () => {
    const verified = await Array.fromAsync(store.packages.verify(id))
    const problems = verified.flatMap(({ path, problem }) => (problem === undefined ? [] : [`${path ?? ''} ${problem.code}`]))
    assert.deepEqual(problems.toSorted(), ['d/f30 damaged', 'd/f7 damaged', 'large damaged'])
  })

  test('a manifest that cannot be read is named behind what the others list', async (t) => {
    const index = JSON.parse(Buffer.from((await embedded.packages.manifest(id)).bytes).toString()) as { manifests: { digest: string }[] }
    for (const { digest } of index.manifests) {
      const { bytes } = await embedded.packages.manifest(id, digest)
      // In its pack it stands behind a header that has its digest.
      if (Buffer.from(bytes).includes('"large"')) damage(rawSha256(parseDigest(digest)), 150)
    }
    // What was read before is remembered; another process would not know it.
    await using fresh = await openStore(join(directory, 'store'))
    const server = await startServer({ host: '127.0.0.1', port: 0, version: 'test', storeFor: () => fresh, report: () => undefined })
    t.after(() => server.stop())
    await using remote = await connect(server.address, { retries: 2 })
    const listed: string[] = []
    await rejectsWith(
      'damaged',
      (async () => {
        for await (const { path } of remote.files.list(id)) listed.push(path)
      })(),
    )
    assert.deepEqual(listed.toSorted(), [...small.keys(), 'z'].toSorted())
  })
})

async function ending(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const piece of stream) hash.update(piece)
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  }
  return hash.digest('hex') === createHash('sha256').update(last).digest('hex') ? 'same' : 'other'
}
