import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { digestOf } from '../core/digest.ts'
import { serveNewStore } from '../testing/served-store.ts'

const VERSION = { 'Tus-Resumable': '1.0.0' }
const BYTES = { ...VERSION, 'Content-Type': 'application/offset+octet-stream' }
const LIMIT = 1_000_000

const server = await serveNewStore({ maxUploadBytes: LIMIT })
const draft = await server.store.packages.open({ repository: 'uploads' })

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const metadata = (facts: Readonly<Record<string, string>>): Record<string, string> => ({
  'Upload-Metadata': Object.entries(facts)
    .map(([key, value]) => `${key} ${base64(value)}`)
    .join(','),
})

function call(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = VERSION,
  body?: string | Uint8Array<ArrayBuffer>,
): Promise<Response> {
  return fetch(new URL(target, server.address), { method, headers, ...(body === undefined ? {} : { body }) })
}

async function create(path: string, length: number, facts: Readonly<Record<string, string>> = {}): Promise<string> {
  const response = await call('POST', '/uploads', {
    ...VERSION,
    'Upload-Length': String(length),
    ...metadata({ packageId: draft.id, path, ...facts }),
  })
  assert.equal(response.status, 201, await response.text())
  return response.headers.get('location') ?? ''
}

function patch(
  target: string,
  offset: number,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return call('PATCH', target, { ...BYTES, 'Upload-Offset': String(offset), ...headers }, body)
}

async function refused(status: number, code: string, response: Promise<Response>): Promise<Response> {
  const found = await response
  const text = await found.text()
  assert.equal(found.status, status, text)
  assert.equal(found.headers.get('tus-resumable'), '1.0.0')
  if (text !== '') {
    assert.equal(found.headers.get('content-type'), 'application/problem+json')
    const problem: unknown = JSON.parse(text)
    assert.ok(typeof problem === 'object' && problem !== null && 'code' in problem && 'status' in problem)
    assert.deepEqual([problem.code, problem.status], [code, status])
  }
  return found
}

describe('resumable uploads over HTTP', () => {
  test('say what they can do, to whoever asks without knowing the version', async () => {
    for (const target of ['/uploads', '/uploads/some-id']) {
      const { status, headers } = await call('OPTIONS', target, {})
      assert.equal(status, 204)
      assert.equal(headers.get('tus-version'), '1.0.0')
      assert.equal(headers.get('tus-extension'), 'creation,creation-with-upload,creation-defer-length,checksum,expiration,termination')
      assert.deepEqual(headers.get('tus-checksum-algorithm')?.split(','), ['sha256', 'sha1'])
      assert.equal(headers.get('tus-max-size'), String(LIMIT))
    }
  })

  test('are refused to whoever speaks another version', async () => {
    const target = await create('version', 1)
    for (const [method, at] of [
      ['POST', '/uploads'],
      ['HEAD', target],
      ['PATCH', target],
      ['DELETE', target],
    ] as const) {
      for (const headers of [{}, { 'Tus-Resumable': '0.2.0' }]) {
        const response = await refused(412, 'precondition_failed', call(method, at, headers))
        assert.equal(response.headers.get('tus-version'), '1.0.0')
      }
    }
  })

  test('have a relative address, tell how far they are, and when they expire', async () => {
    const target = await create('progress', 6, { filetype: 'text/x-test', executable: 'true', digest: digestOf(Buffer.from('abcdef')) })
    assert.match(target, /^\/uploads\/[0-9a-f-]{36}$/)
    const first = await patch(target, 0, 'abc')
    assert.deepEqual([first.status, first.headers.get('upload-offset'), first.headers.get('upload-digest')], [204, '3', null])
    const head = await call('HEAD', target)
    assert.equal(head.status, 200)
    assert.deepEqual(
      ['upload-offset', 'upload-length', 'upload-defer-length', 'cache-control'].map((name) => head.headers.get(name)),
      ['3', '6', null, 'no-store'],
    )
    const day = Date.parse(head.headers.get('upload-expires') ?? '') - Date.now()
    assert.ok(day > 23.9 * 3_600_000 && day <= 24 * 3_600_000, String(day))
    const facts = { packageId: draft.id, path: 'progress', filetype: 'text/x-test', digest: digestOf(Buffer.from('abcdef')), executable: 'true' }
    assert.equal(head.headers.get('upload-metadata'), metadata(facts)['Upload-Metadata'])
    const last = await patch(target, 3, 'def')
    assert.deepEqual([last.status, last.headers.get('upload-offset'), last.headers.get('upload-digest')], [204, '6', digestOf(Buffer.from('abcdef'))])
    assert.equal((await call('HEAD', target)).headers.get('upload-digest'), digestOf(Buffer.from('abcdef')))
  })

  test('may bring their first bytes, or all of them, when they are made', async () => {
    const facts = metadata({ packageId: draft.id, path: 'with-upload' })
    const response = await call('POST', '/uploads', { ...BYTES, 'Upload-Length': '5', ...facts }, 'hello')
    assert.deepEqual(
      [response.status, response.headers.get('upload-offset'), response.headers.get('upload-digest')],
      [201, '5', digestOf(Buffer.from('hello'))],
    )
    await refused(
      415,
      'unsupported_media_type',
      call('POST', '/uploads', { ...VERSION, 'Content-Type': 'text/plain', 'Upload-Length': '5', ...facts }, 'hello'),
    )
  })

  test('may tell their length later', async () => {
    const facts = metadata({ packageId: draft.id, path: 'deferred' })
    const made = await call('POST', '/uploads', { ...VERSION, 'Upload-Defer-Length': '1', ...facts })
    const target = made.headers.get('location') ?? ''
    await patch(target, 0, 'ab')
    const head = await call('HEAD', target)
    assert.deepEqual([head.headers.get('upload-defer-length'), head.headers.get('upload-length')], ['1', null])
    const last = await patch(target, 2, 'c', { 'Upload-Length': '3' })
    assert.deepEqual([last.status, last.headers.get('upload-digest')], [204, digestOf(Buffer.from('abc'))])
    await refused(400, 'malformed_request', call('POST', '/uploads', { ...VERSION, ...facts }))
  })

  test('refuse what is at the wrong place, too much, of another kind, or not said clearly', async () => {
    const target = await create('refusals', 6)
    await patch(target, 0, 'abc')
    await refused(409, 'offset_conflict', patch(target, 0, 'abc'))
    await refused(409, 'offset_conflict', patch(target, 4, 'x'))
    await refused(413, 'limit_exceeded', patch(target, 3, 'defg'))
    await refused(
      415,
      'unsupported_media_type',
      call('PATCH', target, { ...VERSION, 'Upload-Offset': '3', 'Content-Type': 'application/octet-stream' }, 'def'),
    )
    await refused(415, 'unsupported_media_type', call('PATCH', target, { ...VERSION, 'Upload-Offset': '3', 'Content-Type': '' }, 'def'))
    await refused(400, 'malformed_request', call('PATCH', target, BYTES, 'def'))
    for (const offset of ['-1', 'x', '3.5'])
      await refused(400, 'malformed_request', call('PATCH', target, { ...BYTES, 'Upload-Offset': offset }, 'def'))
    await refused(404, 'not_found', call('HEAD', '/uploads/019ad000-0000-7000-8000-000000000000'))
    await refused(404, 'not_found', patch('/uploads/nothing', 0, 'x'))
    assert.equal((await call('HEAD', target)).headers.get('upload-offset'), '3')
  })

  test('are not longer than the server takes, whether that is known or not', async () => {
    const facts = metadata({ packageId: draft.id, path: 'too-large' })
    await refused(413, 'limit_exceeded', call('POST', '/uploads', { ...VERSION, 'Upload-Length': String(LIMIT + 1), ...facts }))
    const made = await call('POST', '/uploads', { ...VERSION, 'Upload-Defer-Length': '1', ...facts })
    const target = made.headers.get('location') ?? ''
    await refused(413, 'limit_exceeded', patch(target, 0, randomBytes(LIMIT + 1)))
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield randomBytes(100_000)
    }
    const chunked = { method: 'PATCH', headers: { ...BYTES, 'Upload-Offset': '0' }, body: ReadableStream.from(endless()), duplex: 'half' } as const
    await refused(413, 'limit_exceeded', fetch(new URL(target, server.address), chunked))
    await refused(413, 'limit_exceeded', patch(target, 0, '', { 'Upload-Length': String(LIMIT + 1) }))
  })

  test('keep nothing of bytes that are not what their checksum says', async () => {
    const target = await create('checksum', 6)
    const sum = (algorithm: string, text: string): Record<string, string> => ({
      'Upload-Checksum': `${algorithm} ${createHash(algorithm).update(text).digest('base64')}`,
    })
    assert.equal((await patch(target, 0, 'abc', sum('sha1', 'abc'))).status, 204)
    await refused(460, 'digest_mismatch', patch(target, 3, 'xyz', sum('sha256', 'def')))
    assert.equal((await call('HEAD', target)).headers.get('upload-offset'), '3')
    await refused(400, 'malformed_request', patch(target, 3, 'def', { 'Upload-Checksum': `md5 ${base64('x')}` }))
    assert.equal((await patch(target, 3, 'def', sum('sha256', 'def'))).status, 204)
  })

  test('that are not what was announced are given up', async () => {
    const target = await create('wrong', 4, { digest: digestOf(Buffer.from('good')) })
    await refused(400, 'digest_mismatch', patch(target, 0, 'evil'))
    await refused(404, 'not_found', call('HEAD', target))
  })

  test('can be given up', async () => {
    const target = await create('given-up', 4)
    assert.equal((await call('DELETE', target)).status, 204)
    await refused(404, 'not_found', call('DELETE', target))
    await refused(404, 'not_found', patch(target, 0, 'abcd'))
  })

  test('can do all of it with POST', async () => {
    const target = await create('override', 3)
    const as = (method: string): Record<string, string> => ({ 'X-HTTP-Method-Override': method })
    assert.equal((await call('POST', target, { ...VERSION, ...as('HEAD') })).headers.get('upload-offset'), '0')
    assert.equal((await call('POST', target, { ...BYTES, 'Upload-Offset': '0', ...as('PATCH') }, 'ab')).status, 204)
    assert.equal((await call('POST', target, { ...VERSION, ...as('DELETE') })).status, 204)
    for (const headers of [VERSION, { ...VERSION, ...as('GET') }]) await refused(405, 'method_not_allowed', call('POST', target, headers))
  })

  test('do not take a package that is not there, a path that cannot be, or metadata that mean nothing', async () => {
    const made = (facts: Readonly<Record<string, string>>): Promise<Response> =>
      call('POST', '/uploads', { ...VERSION, 'Upload-Length': '1', ...metadata(facts) })
    await refused(404, 'not_found', made({ packageId: '019ad000-0000-7000-8000-000000000000', path: 'f' }))
    await refused(422, 'name_invalid', made({ packageId: 'x', path: 'f' }))
    await refused(422, 'path_invalid', made({ packageId: draft.id, path: '../f' }))
    await refused(422, 'input_invalid', made({ packageId: draft.id }))
    await refused(422, 'input_invalid', made({ packageId: draft.id, path: 'f', digset: 'sha256:00' }))
    await refused(422, 'digest_invalid', made({ packageId: draft.id, path: 'f', digest: 'sha256:00' }))
  })

  test('keep what arrived when the connection breaks off in the middle of a body', async () => {
    const target = await create('broken', 500_000)
    const content = randomBytes(500_000)
    const { hostname, port } = new URL(server.address)
    const socket = connect(Number(port), hostname)
    const fields = ['Host: x', 'Tus-Resumable: 1.0.0', 'Content-Type: application/offset+octet-stream', 'Upload-Offset: 0', 'Content-Length: 500000']
    socket.write(`PATCH ${target} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`)
    await new Promise((resolve) => socket.write(content.subarray(0, 300_000), resolve))
    socket.end()
    let offset = 0
    for (let look = 0; offset < 300_000; look += 1) {
      assert.ok(look < 1_000, `only ${offset} bytes were kept`)
      await pause(10)
      offset = Number((await call('HEAD', target)).headers.get('upload-offset'))
    }
    assert.equal(offset, 300_000)
    const last = await patch(target, offset, content.subarray(offset))
    assert.equal(last.headers.get('upload-digest'), digestOf(content))
  })
})
