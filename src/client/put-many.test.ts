/** How many items get into a package over the network: grouped, a few requests at once, each item settled once. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import type { Draft, PutItem, PutOutcome, Store } from '../store/interface.ts'
import { bytes, readAll, rejectsWith } from '../testing/store-case.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { connect } from './client.ts'
import type { Fetch } from './connection.ts'

const { address } = await serveNewStore()
/** `POST …/files`, `PUT …`: what was asked for so far. */
const asked: string[] = []
let underWay = 0
let most = 0
const fetch: Fetch = async (url, init) => {
  const path = new URL(url).pathname.replace(/[0-9a-f-]{36}/, 'ID')
  asked.push(`${init.method} ${path}`)
  if (path.endsWith('/files') && init.method === 'POST') most = Math.max(most, (underWay += 1))
  try {
    return await globalThis.fetch(url, init)
  } finally {
    if (path.endsWith('/files') && init.method === 'POST') underWay -= 1
  }
}

let store: Store
let counter = 0
before(async () => {
  store = await connect(address, { fetch })
})
after(() => store.close())

const open = (): Promise<Draft> => store.packages.open({ repository: `many/r${(counter += 1)}` })
const file = (path: string, text: string, facts: object = {}): PutItem => ({ kind: 'file', path, source: bytes(text), ...facts })

async function outcomesOf(batches: AsyncIterable<readonly PutOutcome[]>): Promise<readonly PutOutcome[]> {
  return (await Array.fromAsync(batches)).flat().toSorted((left, right) => left.index - right.index)
}

const codes = (outcomes: readonly PutOutcome[]): readonly string[] =>
  outcomes.map((outcome) => ('error' in outcome ? outcome.error.code : outcome.reused ? 'reused' : 'stored'))

describe('many items', () => {
  test('that are small go together, a thousand in a request, and a few requests at once', async () => {
    const draft = await open()
    asked.length = 0
    most = 0
    const items = Array.from({ length: 6_500 }, (_, index) => file(`f${index}`, `content ${index}`))
    const outcomes = await outcomesOf(draft.putMany(items))
    assert.deepEqual(
      outcomes.map(({ index }) => index),
      [...items.keys()],
    )
    assert.deepEqual([...new Set(asked)].toSorted(), ['POST /packages/ID/files', 'POST /packages/ID/missing'])
    assert.equal(asked.filter((call) => call.endsWith('/files')).length, 7)
    assert.ok(most > 1 && most <= 4, `${most} at once`)
    const again = await outcomesOf((await open()).putMany(items))
    assert.deepEqual(new Set(codes(again)), new Set(['reused']))
    assert.equal(asked.filter((call) => call.endsWith('/files')).length, 7)
  })

  test('keep what is said of them, and what is said is compared', async () => {
    const draft = await open()
    const outcomes = await outcomesOf(
      draft.putMany([
        file('a.bin', 'a', { mediaType: 'Text/Plain; charset=UTF-8', executable: true }),
        file('b.json', 'b'),
        file('c', 'c', { digest: digestOf(bytes('c')), size: 1 }),
        file('d', 'd', { size: 2 }),
        file('e', 'e', { digest: 'sha256:nothing' }),
        file('f', 'f', { mediaType: 'no type' }),
      ]),
    )
    assert.deepEqual(codes(outcomes), ['stored', 'stored', 'stored', 'digest_mismatch', 'digest_invalid', 'input_invalid'])
    const { id } = await draft.finalize()
    const [a, b, c] = await Array.fromAsync(store.files.list(id))
    assert.deepEqual(
      [a, b, c].map((entry) => entry?.kind === 'file' && [entry.path, entry.mediaType, entry.executable]),
      [
        ['a.bin', 'text/plain;charset=utf-8', true],
        ['b.json', 'application/json', false],
        ['c', 'application/octet-stream', false],
      ],
    )
  })

  test('of the same path replace each other in their order', async () => {
    const draft = await open()
    const items = Array.from({ length: 50 }, (_, index) => file('same', `version ${index}`))
    const outcomes = await outcomesOf(draft.putMany([...items, { kind: 'symlink', path: 'link', target: 'same' }, file('link', 'now a file')]))
    assert.equal(outcomes.length, 52)
    const { id } = await draft.finalize()
    assert.equal(await readAll(store.files.read(id, 'same')), 'version 49')
    assert.equal(await readAll(store.files.read(id, 'link')), 'now a file')
  })

  test('that the server refuses are named, and the others are stored all the same', async () => {
    const draft = await open()
    const outcomes = await outcomesOf(
      draft.putMany([
        file('a', 'refused 1'),
        file('a/b', 'refused 2'),
        file('caf\u00e9', 'refused 3'),
        file('cafe\u0301', 'refused 4'),
        file('z', 'refused 5'),
      ]),
    )
    assert.deepEqual(codes(outcomes).toSorted(), ['input_invalid', 'input_invalid', 'stored', 'stored', 'stored'])
    assert.equal((await draft.finalize()).fileCount, 3)
  })

  test('are sent although their source waits for what became of them', async () => {
    const draft = await open()
    let settled = (): void => undefined
    async function* waiting(): AsyncGenerator<PutItem, void, undefined> {
      for (let index = 0; index < 3; index++) {
        const before = new Promise<void>((resolve) => (settled = resolve))
        yield file(`f${index}`, `${index}`)
        await before
      }
    }
    let count = 0
    for await (const outcomes of draft.putMany(waiting())) {
      count += outcomes.length
      settled()
    }
    assert.equal(count, 3)
  })

  test('are asked for no faster than they are sent', async () => {
    const draft = await open()
    let given = 0
    function* endless(): Generator<PutItem, void, undefined> {
      for (;;) yield file(`f${(given += 1)}`, `${given}`.padStart(100_000))
    }
    const batches = draft.putMany(endless())[Symbol.asyncIterator]()
    await batches.next()
    // One batch of 8 MiB was settled; four more may be on their way, and one in the making.
    assert.ok(given <= 6 * 84 + 84, `${given} items`)
    await batches.return?.()
    const { fileCount } = await draft.finalize()
    assert.ok(fileCount <= given)
  })

  test('end with the error of their source, unchanged', async () => {
    const draft = await open()
    const trouble = new Error('no more items')
    async function* failing(): AsyncGenerator<PutItem, void, undefined> {
      yield file('a', 'a')
      throw trouble
    }
    await assert.rejects(outcomesOf(draft.putMany(failing())), (error: unknown) => error === trouble)
  })

  test('end when they are told to, also while their source is silent', async () => {
    const draft = await open()
    const stop = new AbortController()
    async function* silent(): AsyncGenerator<PutItem, void, undefined> {
      yield file('a', 'a')
      stop.abort()
      await new Promise(() => undefined)
    }
    await rejectsWith('aborted', outcomesOf(draft.putMany(silent(), { signal: stop.signal })))
  })

  test('of a package that was given up are a conflict', async () => {
    const draft = await open()
    await draft.abort()
    await rejectsWith('state_conflict', outcomesOf(draft.putMany([file('a', 'a')])))
    await rejectsWith('state_conflict', draft.attach([{ path: 'a', digest: digestOf(bytes('a')), size: 1 }]))
  })
})

describe('files of this machine', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'put-many-'))
  })
  after(() => rm(folder, { recursive: true }))

  async function local(name: string, size: number): Promise<Extract<PutItem, { kind: 'file' }>> {
    const path = join(folder, name)
    await writeFile(path, Buffer.alloc(size, name))
    return { kind: 'file', path: name, source: { file: path, fingerprint: await stat(path, { bigint: true }) } }
  }

  test('of every size are stored as they are', async () => {
    const draft = await open()
    const sizes = [0, 1, 2_000_000, 2 * 1024 * 1024, 2 * 1024 * 1024 + 1, 17 * 1024 * 1024]
    const items = await Promise.all(sizes.map((size, index) => local(`size-${index}`, size)))
    const outcomes = await outcomesOf(draft.putMany(items))
    assert.deepEqual(
      outcomes.map((outcome) => 'digest' in outcome && [outcome.digest, outcome.size]),
      sizes.map((size, index) => [digestOf(Buffer.alloc(size, `size-${index}`)), size]),
    )
    const again = await outcomesOf((await open()).putMany(items))
    assert.deepEqual(new Set(codes(again)), new Set(['reused']))
  })

  test('that changed, went away or became links since they were listed are refused, the others stored', async () => {
    const draft = await open()
    const items = await Promise.all(['stays', 'changes', 'goes', 'links'].map((name) => local(name, 1_000)))
    const large = await local('large-changes', 3 * 1024 * 1024)
    await writeFile(join(folder, 'changes'), 'other')
    await writeFile(join(folder, 'large-changes'), Buffer.alloc(3 * 1024 * 1024, 'other'))
    await rm(join(folder, 'goes'))
    await rm(join(folder, 'links'))
    await symlink('stays', join(folder, 'links'))
    const outcomes = await outcomesOf(draft.putMany([...items, large]))
    assert.deepEqual(codes(outcomes), ['stored', 'source_changed', 'source_changed', 'source_changed', 'source_changed'])
    assert.equal((await draft.finalize()).fileCount, 1)
  })
})

describe('bytes that change on the way', () => {
  const flipped = (piece: Uint8Array, at: number): Uint8Array => {
    const copy = Uint8Array.from(piece)
    copy[at] = (copy[at] ?? 0) ^ 1
    return copy
  }
  const content = 'x'.repeat(5_000)

  test('are refused by the server when they were sent', async () => {
    // In the middle of the content, in an archive as in a file of its own.
    const tampering: Fetch = (url, init) => {
      const { method, body } = init
      if (!(body instanceof Uint8Array) || !(method === 'PUT' || url.endsWith('/files'))) return globalThis.fetch(url, init)
      return globalThis.fetch(url, { ...init, body: Uint8Array.from(flipped(body, body.length - 2_000)) })
    }
    await using tampered = await connect(address, { fetch: tampering })
    const draft = await tampered.packages.open({ repository: 'many/tampered-up' })
    await rejectsWith('digest_mismatch', draft.put('one', bytes(content)))
    assert.deepEqual(codes(await outcomesOf(draft.putMany([file('many', content)]))), ['input_invalid'])
    assert.equal((await draft.finalize()).fileCount, 0)
  })

  test('are noticed when they are read', async () => {
    const draft = await open()
    await draft.put('one', bytes(content))
    await draft.put('two', bytes('y'.repeat(5_000)))
    const { id } = await draft.finalize()
    const tampering: Fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init)
      if (!/\/files\/one|\/archive/.test(url)) return response
      const whole = new Uint8Array(await response.arrayBuffer())
      return new Response(Uint8Array.from(flipped(whole, whole.indexOf(0x78, whole.indexOf(0x78) + 100))), { headers: response.headers })
    }
    await using tampered = await connect(address, { fetch: tampering })
    await rejectsWith('digest_mismatch', readAll(tampered.files.read(id, 'one')))
    const read = new Map(
      (await Array.fromAsync(tampered.files.readMany(id))).map((item) => [item.file.path as string, 'error' in item ? item.error.code : 'read']),
    )
    assert.deepEqual(Object.fromEntries(read), { one: 'digest_mismatch', two: 'read' })
  })
})
