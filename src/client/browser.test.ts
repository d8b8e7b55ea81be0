/** The client as browsers load it: without a module of Node's, and with the globals of the web alone. */
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { rolldown } from 'rolldown'
import { digestOf } from '../core/digest.ts'
import { serveNewStore } from '../testing/served-store.ts'

const input = fileURLToPath(new URL('client.ts', import.meta.url))
const { address, store } = await serveNewStore()

test('a bundle for browsers needs no module of Node where it begins, and only loads one where there is Node', async () => {
  await using bundle = await rolldown({ input, platform: 'browser', external: /^node:/ })
  const { output } = await bundle.generate({ format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name].js' })
  const chunks = new Map(output.flatMap((chunk) => (chunk.type === 'chunk' ? [[chunk.fileName, chunk]] : [])))
  const loaded = new Set<string>()
  const load = (name: string): void => {
    if (loaded.has(name)) return
    loaded.add(name)
    chunks.get(name)?.imports.forEach(load)
  }
  load('client.js')
  assert.deepEqual(
    [...loaded].filter((name) => name.startsWith('node:')),
    [],
  )
  assert.ok(loaded.size >= 1)
  for (const name of loaded) assert.doesNotMatch(chunks.get(name)?.code ?? '', /\bBuffer\b|\brequire\(|\bprocess\.(?!versions)/)
  const lazy = [...chunks.values()].flatMap(({ imports }) => imports.filter((name) => name.startsWith('node:')))
  assert.deepEqual([...new Set(lazy)].toSorted(), ['node:buffer', 'node:crypto', 'node:fs', 'node:util'])
})

/** What the script below answers. */
interface Seen {
  readonly digest: string
  readonly large: string
  readonly fileCount: number
  readonly texts: Readonly<Record<string, string>>
  readonly refused: string
}

const SCRIPT = `(async () => {
  const store = await client.connect(address)
  const draft = await store.packages.open({ repository: 'browser/r' })
  const { digest } = await draft.put('one.txt', new TextEncoder().encode('one'))
  const large = new Uint8Array(17_000_000).fill(7)
  const outcomes = []
  for await (const batch of draft.putMany([
    { kind: 'file', path: 'two.txt', source: new TextEncoder().encode('two') },
    { kind: 'file', path: 'large', source: large },
    { kind: 'symlink', path: 'link', target: 'one.txt' },
    { kind: 'file', path: 'stream', source: (async function* () { for (let i = 0; i < 5; i++) yield large.subarray(0, 1_000_000) })() },
  ])) outcomes.push(...batch)
  const receipt = await draft.finalize()
  const texts = {}
  for await (const { file, bytes, stream } of store.files.readMany(receipt.id)) {
    if (bytes !== undefined) texts[file.path] = new TextDecoder().decode(bytes)
    else for await (const piece of stream) texts[file.path] = String(Number(texts[file.path] ?? 0) + piece.length)
  }
  const refused = await store.packages.get('browser/r:none').catch((error) => error instanceof client.StoreError && error.code)
  await store.close()
  return { digest, large: outcomes.find(({ index }) => index === 1).digest, fileCount: receipt.fileCount, texts, refused }
})()`

test('with the globals of the web, and bodies that are no streams, packages are written and read', async () => {
  await using bundle = await rolldown({ input, platform: 'browser', external: /^node:|node-sha256|local-file/ })
  const { output } = await bundle.generate({ format: 'iife', name: 'client' })
  const sandbox = createContext({
    // Browsers send a stream over HTTP/2 only.
    fetch: (url: string, init: RequestInit) => {
      assert.ok(!(init.body instanceof ReadableStream), `${init.method} ${url} has a stream as its body`)
      return fetch(url, init)
    },
    address,
    AbortController,
    AbortSignal,
    atob,
    btoa,
    clearTimeout,
    crypto,
    performance,
    ReadableStream,
    setTimeout,
    TextDecoder,
    TextEncoder,
    URL,
  })
  runInContext(output[0].code, sandbox)
  // Sound: the assertions below tell if it is otherwise.
  const seen = JSON.parse(JSON.stringify(await runInContext(SCRIPT, sandbox))) as Seen
  const large = new Uint8Array(17_000_000).fill(7)
  assert.deepEqual(seen, {
    digest: digestOf(Buffer.from('one')),
    large: digestOf(large),
    fileCount: 4,
    texts: { 'one.txt': 'one', 'two.txt': 'two', large: '17000000', stream: '5000000' },
    refused: 'not_found',
  })
  const { items } = await store.packages.search({ repository: 'browser/r' })
  assert.equal(items[0]?.fileCount, 4)
})
