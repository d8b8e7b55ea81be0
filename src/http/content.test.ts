import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { digestField } from './digest-field.ts'

const { address, store } = await serveNewStore()
let counter = 0

async function json(answer: Response): Promise<Record<string, unknown>> {
  return (await answer.json()) as Record<string, unknown>
}

function post(path: string, body: unknown): Promise<Response> {
  return fetch(address + path, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } })
}

async function opened(facts: object = {}): Promise<string> {
  counter += 1
  const answer = await post('/packages', { repository: `http/r${counter}`, ...facts })
  assert.equal(answer.status, 201)
  return String((await json(answer))['id'])
}

function put(id: string, path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${address}/packages/${id}/files/${path}`, { method: 'PUT', body, headers })
}

async function sealed(files: Readonly<Record<string, string>>): Promise<string> {
  const id = await opened()
  for (const [path, content] of Object.entries(files)) assert.equal((await put(id, path, content)).status, 201)
  assert.equal((await fetch(`${address}/packages/${id}/finalize`, { method: 'POST' })).status, 200)
  return id
}

async function refused(answer: Response, status: number, code: string): Promise<Record<string, unknown>> {
  const problem = await json(answer)
  assert.deepEqual([answer.status, problem['code'], problem['status']], [status, code, status], JSON.stringify(problem))
  assert.equal(answer.headers.get('content-type'), 'application/problem+json')
  return problem
}

describe('a producer that knows only HTTP', () => {
  test('opens, fills, seals, finds and reads a package', async () => {
    const answer = await post('/packages', {
      repository: 'http/first',
      runId: 'run 1',
      type: 'report',
      metadata: { branch: 'main' },
      tags: ['latest'],
    })
    assert.equal(answer.status, 201)
    const { id, status } = await json(answer)
    assert.equal(answer.headers.get('location'), `/packages/${String(id)}`)
    assert.equal(status, 'open')
    const stored = await put(String(id), 'out/report%20%231.json', '{"ok":true}', { 'Content-Type': 'application/json' })
    assert.deepEqual(await json(stored), { path: 'out/report #1.json', digest: digestOf(Buffer.from('{"ok":true}')), size: 11 })
    const receipt = await json(await post(`/packages/${String(id)}/finalize`, { metadata: { branch: 'main', passed: 3 } }))
    assert.deepEqual([receipt['packageId'], receipt['fileCount'], receipt['size'], receipt['reusedExisting']], [id, 1, 11, false])
    const found = await json(await fetch(`${address}/packages?metadata.branch=main&metadata.passed=3&tag=latest`))
    assert.deepEqual(
      (found['items'] as { id: string }[]).map((item) => item.id),
      [id],
    )
    assert.equal((await json(await fetch(`${address}/resolve?ref=http/first:latest`)))['id'], id)
    const file = await fetch(`${address}/packages/${String(id)}/files/out/report%20%231.json`)
    assert.equal(await file.text(), '{"ok":true}')
    assert.equal(file.headers.get('content-type'), 'application/json')
  })

  test('the same run again continues while it is open, returns the receipt when it is sealed, and refuses other facts', async () => {
    const request = { repository: 'http/runs', runId: 'r' }
    const first = await json(await post('/packages', request))
    const again = await post('/packages', request)
    assert.equal(again.status, 200)
    assert.deepEqual(await json(again), { ...first, reusedExisting: true })
    await refused(await post('/packages', { ...request, producer: 'another' }), 409, 'run_conflict')
    const id = String(first['id'])
    const receipt = await json(await post(`/packages/${id}/finalize`, {}))
    const sealedAgain = await json(await post('/packages', request))
    assert.deepEqual([sealedAgain['status'], sealedAgain['reusedExisting'], sealedAgain['id']], ['finalized', true, id])
    assert.equal((await json(await post(`/packages/${id}/finalize`, {})))['manifestDigest'], receipt['manifestDigest'])
  })

  test('an id that became an alias leads on, below it too', async () => {
    const request = { repository: 'http/alias' }
    const ids = [await json(await post('/packages', request)), await json(await post('/packages', request))].map(({ id }) => String(id))
    for (const id of ids) {
      await put(id, 'f', 'same')
      await post(`/packages/${id}/finalize`, {})
    }
    for (const tail of ['', '/files', '/files/f', '/manifest', '/document', '/files/f?x=1']) {
      const answer = await fetch(`${address}/packages/${ids[1] ?? ''}${tail}`, { redirect: 'manual' })
      assert.deepEqual([answer.status, answer.headers.get('location')], [308, `/packages/${ids[0] ?? ''}${tail}`])
    }
    assert.equal(await (await fetch(`${address}/packages/${ids[1] ?? ''}/files/f`)).text(), 'same')
  })

  test('an open package is given up, and then is not there', async () => {
    const id = await opened()
    assert.equal((await json(await fetch(`${address}/packages/${id}`)))['status'], 'open')
    assert.equal((await fetch(`${address}/packages/${id}`, { method: 'DELETE' })).status, 204)
    await refused(await fetch(`${address}/packages/${id}`), 404, 'not_found')
    await refused(await put(id, 'f', 'x'), 404, 'not_found')
  })
})

describe('storing a file', () => {
  test('an announced digest is checked, and of other bytes nothing stays', async () => {
    const id = await opened()
    const right = digestField(digestOf(Buffer.from('hello')))
    assert.equal((await put(id, 'a', 'hello', { 'Repr-Digest': right })).status, 201)
    assert.equal((await put(id, 'b', 'hello', { 'Content-Digest': right })).status, 201)
    await refused(await put(id, 'c', 'hallo', { 'Repr-Digest': right }), 400, 'digest_mismatch')
    await refused(await put(id, 'd', 'hello', { 'Repr-Digest': 'sha-256=:AAAA:' }), 422, 'digest_invalid')
    const { fileCount } = await json(await post(`/packages/${id}/finalize`, {}))
    assert.equal(fileCount, 2)
  })

  test('replaces while the package is open, only creates when asked so, and is removed again', async () => {
    const id = await opened()
    assert.equal((await put(id, 'a', 'one', { 'If-None-Match': '*' })).status, 201)
    await refused(await put(id, 'a', 'two', { 'If-None-Match': '*' }), 412, 'precondition_failed')
    assert.equal((await put(id, 'a', 'three')).status, 201)
    assert.equal((await put(id, 'b', 'b')).status, 201)
    assert.equal((await fetch(`${address}/packages/${id}/files/b`, { method: 'DELETE' })).status, 204)
    await refused(await fetch(`${address}/packages/${id}/files/b`, { method: 'DELETE' }), 404, 'file_not_found')
    await post(`/packages/${id}/finalize`, {})
    assert.equal(await (await fetch(`${address}/packages/${id}/files/a`)).text(), 'three')
    await refused(await put(id, 'a', 'four'), 409, 'state_conflict')
  })

  test('names that a package cannot hold, encoded slashes, content codings and unknown parameters are refused', async () => {
    const id = await opened()
    await refused(await put(id, 'a%2Fb', 'x'), 422, 'path_invalid')
    await refused(await put(id, 'a//b', 'x'), 422, 'path_invalid')
    await refused(await put(id, 'a%00b', 'x'), 400, 'malformed_request')
    await refused(await put(id, 'a', 'x', { 'Content-Encoding': 'gzip' }), 415, 'unsupported_media_type')
    await refused(await put(id, 'a?exec=true', 'x'), 422, 'input_invalid')
    assert.equal((await put(id, 'run.sh?executable=true', 'x')).status, 201)
    await post(`/packages/${id}/finalize`, {})
    const { items } = await json(await fetch(`${address}/packages/${id}/files`))
    assert.deepEqual(
      (items as { path: string; executable: boolean }[]).map(({ path, executable }) => [path, executable]),
      [['run.sh', true]],
    )
  })

  test('media types: what is given stays, what programs add by themselves does not count', async () => {
    const id = await opened()
    await put(id, 'a.json', '{}', { 'Content-Type': 'application/octet-stream' })
    await put(id, 'b.json', '{}', { 'Content-Type': 'application/x-www-form-urlencoded' })
    await put(id, 'c.json', '{}', { 'Content-Type': 'application/vnd.own+json' })
    await post(`/packages/${id}/finalize`, {})
    const types = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => (await fetch(`${address}/packages/${id}/files/${name}.json`)).headers.get('content-type')),
    )
    assert.deepEqual(types, ['application/json', 'application/json', 'application/vnd.own+json'])
  })

  test('a body that breaks off leaves nothing, and the server goes on', async () => {
    const id = await opened()
    const stop = new AbortController()
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from('half')),
      pull: () => stop.abort(),
    })
    const init: RequestInit & { readonly duplex: 'half' } = { method: 'PUT', body, signal: stop.signal, duplex: 'half' }
    await assert.rejects(fetch(`${address}/packages/${id}/files/half`, init))
    assert.equal((await put(id, 'whole', 'x')).status, 201)
    assert.equal((await json(await post(`/packages/${id}/finalize`, {})))['fileCount'], 1)
  })
})

describe('find-missing', () => {
  test('attaches what is here, records links and directories, and names what must be sent', async () => {
    await sealed({ known: 'known to http' })
    const id = await opened()
    const lines = [
      { path: 'k', type: 'file', digest: digestOf(Buffer.from('known to http')), size: 13, executable: true },
      { path: 'm', type: 'file', digest: digestOf(Buffer.from('unheard of')), size: 10 },
      { path: 'link', type: 'symlink', target: 'k' },
      { path: 'hollow', type: 'directory' },
    ]
    const answer = await fetch(`${address}/packages/${id}/missing`, {
      method: 'POST',
      body: lines.map((line) => JSON.stringify(line)).join('\n'),
      headers: { 'Content-Type': 'application/jsonl' },
    })
    assert.equal(answer.status, 200)
    assert.equal(await answer.text(), '{"path":"m"}\n')
    await post(`/packages/${id}/finalize`, {})
    const { items } = await json(await fetch(`${address}/packages/${id}/files`))
    assert.deepEqual(
      (items as { kind: string; path: string }[]).map(({ kind, path }) => `${kind} ${path}`),
      ['file k', 'symlink link', 'directory hollow'],
    )
  })

  test('lines that are not what they must be are refused', async () => {
    const id = await opened()
    const ask = (body: string, type = 'application/jsonl'): Promise<Response> =>
      fetch(`${address}/packages/${id}/missing`, { method: 'POST', body, headers: { 'Content-Type': type } })
    await refused(await ask('{"path":"a"}'), 422, 'input_invalid')
    await refused(await ask('{"path":"a","type":"file"}'), 422, 'input_invalid')
    await refused(await ask('{"path":"a","type":"socket"}'), 422, 'input_invalid')
    await refused(await ask('{"path":"a","type":"symlink","target":"/etc/passwd"}'), 422, 'input_invalid')
    await refused(await ask('{"path":"a","type":"directory","mode":7}'), 422, 'input_invalid')
    await refused(await ask('nonsense'), 422, 'document_invalid')
    await refused(await ask('{}', 'text/plain'), 415, 'unsupported_media_type')
  })
})

describe('downloading', () => {
  test('ranges, conditions and HEAD do what the RFC says', async () => {
    const id = await sealed({ 'f.html': '0123456789' })
    const url = `${address}/packages/${id}/files/f.html`
    const tag = `"${digestOf(Buffer.from('0123456789'))}"`
    const whole = await fetch(url)
    assert.deepEqual([whole.status, whole.headers.get('etag'), whole.headers.get('content-length')], [200, tag, '10'])
    assert.equal(whole.headers.get('content-disposition'), "attachment; filename*=UTF-8''f.html")
    assert.equal(whole.headers.get('content-security-policy'), "default-src 'none'; sandbox")
    assert.equal(whole.headers.get('x-content-type-options'), 'nosniff')
    assert.equal(whole.headers.get('cache-control'), 'private, no-cache')
    const part = await fetch(url, { headers: { Range: 'bytes=2-4', 'If-Range': tag } })
    assert.deepEqual([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 2-4/10', '234'])
    const changed = await fetch(url, { headers: { Range: 'bytes=2-4', 'If-Range': '"other"' } })
    assert.deepEqual([changed.status, await changed.text()], [200, '0123456789'])
    const beyond = await fetch(url, { headers: { Range: 'bytes=10-' } })
    assert.equal(beyond.headers.get('content-range'), 'bytes */10')
    await refused(beyond, 416, 'range_not_satisfiable')
    const current = await fetch(url, { headers: { 'If-None-Match': `"x", ${tag}` } })
    assert.deepEqual([current.status, current.headers.get('etag'), await current.text()], [304, tag, ''])
    await refused(await fetch(url, { headers: { 'If-Match': '"x"' } }), 412, 'precondition_failed')
    const head = await fetch(url, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers.get('content-length'), head.headers.get('etag'), await head.text()], [200, '10', tag, ''])
  })

  test('a large file comes whole and in ranges', async () => {
    const large = Buffer.alloc(3 * 1024 * 1024 + 5)
    for (let at = 0; at + 4 <= large.length; at += 4) large.writeUInt32LE((at * 2_654_435_761) >>> 0, at)
    const draft = await store.packages.open({ repository: 'http/large' })
    await draft.put('large', large)
    const { id } = await draft.finalize()
    const url = `${address}/packages/${id}/files/large`
    assert.equal(Buffer.compare(Buffer.from(await (await fetch(url)).arrayBuffer()), large), 0)
    const range = await fetch(url, { headers: { Range: 'bytes=1048570-3000000' } })
    assert.equal(Buffer.compare(Buffer.from(await range.arrayBuffer()), large.subarray(1_048_570, 3_000_001)), 0)
  })

  test('the list of files goes by pages, or as lines', async () => {
    const id = await sealed({ a: '1', b: '2', 'c/d': '3', 'c/e': '4' })
    const paths: string[] = []
    let url: string | undefined = `${address}/packages/${id}/files?limit=3`
    while (url !== undefined) {
      const answer: Response = await fetch(url)
      for (const { path } of (await json(answer))['items'] as { path: string }[]) paths.push(path)
      const next = /<(.*)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1]
      url = next === undefined ? undefined : address + next
    }
    assert.deepEqual(paths, ['a', 'b', 'c/d', 'c/e'])
    const lines = await (await fetch(`${address}/packages/${id}/files?prefix=c`, { headers: { Accept: 'application/jsonl' } })).text()
    assert.deepEqual(
      lines
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { path: string }).path),
      ['c/d', 'c/e'],
    )
  })

  test('the manifest comes byte for byte', async () => {
    const id = await sealed({ a: '1' })
    const answer = await fetch(`${address}/packages/${id}/manifest`)
    const bytes = Buffer.from(await answer.arrayBuffer())
    assert.equal(answer.headers.get('content-type'), 'application/vnd.oci.image.manifest.v1+json')
    assert.equal(answer.headers.get('etag'), `"${digestOf(bytes)}"`)
    assert.equal((await json(await fetch(`${address}/packages/${id}`)))['manifestDigest'], digestOf(bytes))
  })

  test('verification tells a line a file', async () => {
    const id = await sealed({ a: '1', b: '2' })
    const lines = (await (await fetch(`${address}/packages/${id}/verify`, { method: 'POST' })).text()).trim().split('\n')
    const found = lines.map((line) => JSON.parse(line) as { path?: string; problem?: object })
    assert.deepEqual(found.flatMap(({ path }) => path ?? []).toSorted(), ['a', 'b'])
    assert.ok(found.every(({ problem }) => problem === undefined))
  })
})

describe('JSON bodies', () => {
  test('unknown members, wrong types, other media types, doubled members and what is no JSON are refused', async () => {
    const typo = await refused(await post('/packages', { repository: 'http/x', retentionClas: 'raw-evidence' }), 422, 'input_invalid')
    assert.match(String(typo['detail']), /retentionClas/)
    await refused(await post('/packages', { repository: 7 }), 422, 'input_invalid')
    await refused(await post('/packages', {}), 422, 'input_invalid')
    await refused(await post('/packages', { repository: 'Not A Name' }), 422, 'name_invalid')
    const raw = (body: string, type: string): Promise<Response> =>
      fetch(`${address}/packages`, { method: 'POST', body, headers: { 'Content-Type': type } })
    await refused(await raw('{"repository":"a/b","repository":"c/d"}', 'application/json'), 422, 'document_invalid')
    await refused(await raw('{"repository"', 'application/json'), 422, 'document_invalid')
    await refused(await raw('repository=a', 'application/x-www-form-urlencoded'), 415, 'unsupported_media_type')
    await refused(await raw(`{"repository":"a/b","metadata":{"x":"${'x'.repeat(8 * 1024 * 1024)}"}}`, 'application/json'), 413, 'limit_exceeded')
    await refused(await raw('', 'application/json'), 422, 'document_invalid')
  })
})
