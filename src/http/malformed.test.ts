import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { dial, exchangeRaw, listen, parseAnswers, readToEnd } from '../testing/raw-http.ts'
import { createGuardedServer } from './guarded-server.ts'
import { defaultLimits } from './server-limits.ts'

const limits = { ...defaultLimits(), lingerMs: 500, sweepMs: 50 }
/** Targets of the requests that the handler was given. */
const handled: string[] = []
const guarded = createGuardedServer((request: IncomingMessage, response: ServerResponse) => {
  handled.push(`${request.method} ${request.url}`)
  request.resume().on('end', () => response.end('done'))
}, limits)
let port = 0
before(async () => {
  port = await listen(guarded.server)
})
after(() => guarded.drain(0))

const lines = (...parts: readonly string[]): string => `${parts.join('\r\n')}\r\n\r\n`
/** A GET with further lines. */
const get = (target: string, ...fields: readonly string[]): string => lines(`GET ${target} HTTP/1.1`, 'Host: a', ...fields)
const put = (body: string, ...fields: readonly string[]): string => lines('PUT /x HTTP/1.1', 'Host: a', ...fields) + body
/** Comes behind what is malformed, and must never be run. */
const smuggled = get('/smuggled')

/** What is sent and the status of the only answer. */
const corpus: readonly (readonly [title: string, bytes: string, status: number])[] = [
  // Whom it is for
  ['no Host', lines('GET / HTTP/1.1'), 400],
  ['two Hosts', get('/', 'Host: b'), 400],
  ['the same Host twice', get('/', 'host: a'), 400],
  ['an empty Host', lines('GET / HTTP/1.1', 'Host:'), 400],
  ['a Host with a path', lines('GET / HTTP/1.1', 'Host: a/b'), 400],
  ['a Host with a user', lines('GET / HTTP/1.1', 'Host: u@a'), 400],
  ['two hosts in one Host', lines('GET / HTTP/1.1', 'Host: a, b'), 400],
  ['a Host with a bad port', lines('GET / HTTP/1.1', 'Host: a:b'), 400],
  ['a Host with spaces', lines('GET / HTTP/1.1', 'Host: a b'), 400],
  // Targets
  ['an absolute target', get('http://a/'), 400],
  ['an absolute target of another scheme', get('file:///etc/passwd'), 400],
  ['a target that is an authority', get('a:80'), 400],
  ['an asterisk for GET', get('*'), 400],
  ['a relative target', get('packages'), 400],
  ['an empty target', 'GET  HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['dots at the start', get('/../etc/passwd'), 400],
  ['dots inside', get('/a/../b'), 400],
  ['dots at the end', get('/a/..'), 400],
  ['one dot', get('/a/./b'), 400],
  ['dots encoded', get('/a/%2e%2e/b'), 400],
  ['dots encoded in upper case', get('/a/%2E%2E'), 400],
  ['dots half encoded', get('/a/.%2e/b'), 400],
  ['one dot encoded', get('/a/%2e/b'), 400],
  ['dots before a query', get('/a/..?b'), 400],
  ['a backslash', get('/a\\..\\b'), 400],
  ['NUL encoded', get('/a%00b'), 400],
  ['NUL encoded in a query', get('/a?b=%00'), 400],
  ['a percent sign alone', get('/a%'), 400],
  ['a percent sign with one digit', get('/a%2'), 400],
  ['a percent sign with letters', get('/a%zz'), 400],
  ['a percent sign in a query', get('/a?b=100%'), 400],
  ['a fragment', get('/a#b'), 400],
  ['a tab in the target', get('/a\tb'), 400],
  ['NUL in the target', get('/a\0b'), 400],
  ['DEL in the target', get('/a\x7fb'), 400],
  ['bytes above ASCII in the target', get('/\xc3\xa4'), 400],
  ['a space in the target', get('/a b'), 400],
  ['a target of more than 8 KiB', get(`/${'a'.repeat(8_192)}`), 414],
  // How long the body is
  ['length and chunks', put('0\r\n\r\n', 'Content-Length: 5', 'Transfer-Encoding: chunked'), 400],
  ['chunks and length', put('0\r\n\r\n', 'Transfer-Encoding: chunked', 'Content-Length: 5'), 400],
  ['two lengths', put('abc', 'Content-Length: 3', 'Content-Length: 4'), 400],
  ['the same length twice', put('abc', 'Content-Length: 3', 'Content-Length: 3'), 400],
  ['a list of lengths', put('abc', 'Content-Length: 3, 3'), 400],
  ['a length with a sign', put('abc', 'Content-Length: +3'), 400],
  ['a negative length', put('', 'Content-Length: -1'), 400],
  ['a hexadecimal length', put('abc', 'Content-Length: 0x3'), 400],
  ['a length beyond 64 bits', put('abc', 'Content-Length: 18446744073709551617'), 400],
  ['an empty length', put('', 'Content-Length:'), 400],
  ['another coding before chunked', put('0\r\n\r\n', 'Transfer-Encoding: gzip, chunked'), 400],
  ['another coding after chunked', put('0\r\n\r\n', 'Transfer-Encoding: chunked, gzip'), 400],
  ['identity', put('', 'Transfer-Encoding: identity'), 400],
  ['identity after chunked', put('0\r\n\r\n', 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity'), 400],
  ['chunked twice', put('0\r\n\r\n', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), 400],
  ['chunked twice in one field', put('0\r\n\r\n', 'Transfer-Encoding: chunked, chunked'), 400],
  ['chunked misspelt', put('0\r\n\r\n', 'Transfer-Encoding: xchunked'), 400],
  ['chunked with a vertical tab', put('0\r\n\r\n', 'Transfer-Encoding: \x0bchunked'), 400],
  ['chunked in quotes', put('0\r\n\r\n', 'Transfer-Encoding: "chunked"'), 400],
  ['chunked with a parameter', put('0\r\n\r\n', 'Transfer-Encoding: chunked;q=1'), 400],
  ['chunks of HTTP/1.0', `${lines('PUT /x HTTP/1.0', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n\r\n`, 400],
  ['a chunk with a bad size', put('xyz\r\n\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk with a negative size', put('-1\r\n\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk with a size in 0x', put('0x3\r\nabc\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk with a size beyond 64 bits', put('10000000000000000\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk longer than it says', put('2\r\nabc\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk that ends in LF', put('3\r\nabc\n0\r\n\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk size that ends in LF', put('3\nabc\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), 400],
  ['a chunk with 20 KiB of extensions', put(`3;${'a'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`, 'Transfer-Encoding: chunked'), 400],
  ['a GET with a length', `${get('/', 'Content-Length: 3')}abc`, 400],
  ['a GET with chunks', `${get('/', 'Transfer-Encoding: chunked')}0\r\n\r\n`, 400],
  ['a HEAD with a length', `${lines('HEAD / HTTP/1.1', 'Host: a', 'Content-Length: 3')}abc`, 400],
  ['a DELETE with a length', `${lines('DELETE / HTTP/1.1', 'Host: a', 'Content-Length: 3')}abc`, 400],
  ['an OPTIONS with a length', `${lines('OPTIONS / HTTP/1.1', 'Host: a', 'Content-Length: 3')}abc`, 400],
  // Fields
  ['__proto__', get('/', '__proto__: x'), 400],
  ['__PROTO__', get('/', '__PROTO__: x'), 400],
  ['constructor', get('/', 'constructor: x'), 400],
  ['prototype', get('/', 'Prototype: x'), 400],
  ['a space before the colon', get('/', 'X : y'), 400],
  ['a tab before the colon', get('/', 'X\t: y'), 400],
  ['a space in a name', get('/', 'X Y: z'), 400],
  ['a field without a name', get('/', ': y'), 400],
  ['a field without a colon', get('/', 'X'), 400],
  ['a folded field', get('/', 'X: y', ' z'), 400],
  ['a first field that is folded', lines('GET / HTTP/1.1', ' Host: a'), 400],
  ['NUL in a value', get('/', 'X: y\0z'), 400],
  ['CR in a value', get('/', 'X: y\rz'), 400],
  ['BEL in a value', get('/', 'X: y\x07z'), 400],
  ['NUL in a name', get('/', 'X\0: y'), 400],
  ['a name beyond ASCII', get('/', 'X\xe4: y'), 400],
  ['two Authorizations', get('/', 'Authorization: Bearer a', 'Authorization: Bearer b'), 400],
  ['two Content-Types', put('', 'Content-Length: 0', 'Content-Type: a/b', 'Content-Type: c/d'), 400],
  ['two Ranges', get('/', 'Range: bytes=0-0', 'Range: bytes=1-1'), 400],
  ['101 fields', get('/', ...Array.from({ length: 100 }, (_, index) => `X-${index}: y`)), 431],
  ['a field of more than 16 KiB', get('/', `X: ${'y'.repeat(17_000)}`), 431],
  ['many fields of more than 16 KiB together', get('/', ...Array.from({ length: 90 }, (_, index) => `X-${index}: ${'y'.repeat(200)}`)), 431],
  ['an expectation', get('/', 'Expect: miracles'), 417],
  ['one expectation and another', put('', 'Content-Length: 0', 'Expect: 100-continue, miracles'), 417],
  // Lines
  ['bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['bare LF after a field', 'GET / HTTP/1.1\r\nHost: a\n\r\n', 400],
  ['bare CR', 'GET / HTTP/1.1\rHost: a\r\r', 400],
  ['no version', 'GET /\r\nHost: a\r\n\r\n', 400],
  ['HTTP/0.9', lines('GET / HTTP/0.9', 'Host: a'), 400],
  ['HTTP/1.2', lines('GET / HTTP/1.2', 'Host: a'), 400],
  ['HTTP/2.0 in the line', lines('GET / HTTP/2.0', 'Host: a'), 400],
  ['HTTP/11.1', lines('GET / HTTP/11.1', 'Host: a'), 400],
  ['a version in lower case', lines('GET / http/1.1', 'Host: a'), 400],
  ['another protocol', lines('GET / ICE/1.0', 'Host: a'), 400],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['a greeting of TLS', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', 400],
  ['a method in lower case', lines('get / HTTP/1.1', 'Host: a'), 400],
  ['an unknown method', lines('BREW / HTTP/1.1', 'Host: a'), 400],
  ['a method that is not used', lines('PROPFIND / HTTP/1.1', 'Host: a'), 405],
  ['TRACE', lines('TRACE / HTTP/1.1', 'Host: a'), 405],
  ['CONNECT', lines('CONNECT a:80 HTTP/1.1', 'Host: a:80'), 405],
  ['a space before the method', lines(' GET / HTTP/1.1', 'Host: a'), 400],
]

const alive = lines('GET /alive HTTP/1.1', 'Host: a', 'Connection: close')

describe('a malformed request', { timeout: 60_000 }, () => {
  for (const [title, bytes, status] of corpus) {
    test(`${title}: ${status}, nothing behind it is run, and the server lives`, async () => {
      handled.length = 0
      const answers = await exchangeRaw(port, Buffer.from(bytes + smuggled, 'latin1'))
      assert.deepEqual(
        answers.map((answer) => answer.status),
        [status],
      )
      for (const { fields, body } of answers) {
        assert.equal(fields.get('connection'), 'close')
        assert.equal(fields.get('content-type'), 'application/problem+json')
        if (!bytes.startsWith('HEAD')) assert.equal((JSON.parse(body) as { status: number }).status, status)
      }
      assert.ok(!handled.includes('GET /smuggled'), String(handled))
      const [after] = await exchangeRaw(port, alive)
      assert.equal(after?.status, 200)
    })
  }
})

describe('what looks odd but is allowed', () => {
  const closing = 'Connection: close'
  const allowed: readonly (readonly [title: string, bytes: string])[] = [
    ['two spaces between the words', lines('GET  / HTTP/1.1', 'Host: a', closing)],
    ['HTTP/1.0 without a Host', lines('GET / HTTP/1.0')],
    ['a Host with a port', lines('GET / HTTP/1.1', 'Host: a.example:8080', closing)],
    ['an IPv6 Host', lines('GET / HTTP/1.1', 'Host: [::1]:80', closing)],
    ['empty lines before the request', `\r\n\r\n${get('/', closing)}`],
    ['a DELETE with a length of 0', lines('DELETE / HTTP/1.1', 'Host: a', 'Content-Length: 0', closing)],
    ['a PUT without a length', put('', closing)],
    ['chunks with extensions and trailers', put('3;a="b"\r\nabc\r\n0\r\nX: y\r\n\r\n', 'Transfer-Encoding: Chunked', closing)],
    ['three dots', get('/a/.../b', closing)],
    ['dots in a query', get('/a?b=/../c', closing)],
    ['a percent-encoded backslash and percent sign', get('/a%5C%25', closing)],
    ['an upgrade, which is ignored', get('/', 'Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings, close', 'HTTP2-Settings: AAMAAABk')],
    ['bytes above ASCII in a value', get('/', 'X: \xe4', closing)],
    ['OPTIONS of the server as a whole', lines('OPTIONS * HTTP/1.1', 'Host: a', closing)],
  ]
  for (const [title, bytes] of allowed) {
    test(title, async () => {
      const answers = await exchangeRaw(port, Buffer.from(bytes, 'latin1'))
      assert.deepEqual(
        answers.map(({ status }) => status),
        [bytes.startsWith('OPTIONS') ? 204 : 200],
      )
    })
  }

  test('requests sent one behind the other are run one after the other, in order', async () => {
    handled.length = 0
    const answers = await exchangeRaw(port, put('abc', 'Content-Length: 3') + get('/1') + get('/2') + alive)
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body]),
      Array.from({ length: 4 }, () => [200, 'done']),
    )
    assert.deepEqual(handled, ['PUT /x', 'GET /1', 'GET /2', 'GET /alive'])
  })

  test('what came before a malformed request is answered, what comes behind it is not run', async () => {
    handled.length = 0
    const answers = await exchangeRaw(port, get('/1') + get('/a/../b') + smuggled)
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 400],
    )
    assert.deepEqual(handled, ['GET /1'])
  })

  test('a client that waits for 100 Continue gets it when its body is read', { timeout: 10_000 }, async () => {
    const socket = await dial(port)
    const received = readToEnd(socket)
    socket.write(put('', 'Content-Length: 3', 'Expect: 100-continue', closing))
    await new Promise((resolve) => socket.once('data', resolve))
    socket.write('abc')
    const text = await received
    assert.ok(text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'), text)
    assert.deepEqual(
      parseAnswers(text).map(({ status }) => status),
      [200],
    )
  })
})

describe('bytes without sense', { timeout: 120_000 }, () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((array) => Buffer.from(array))
  /** Well-formed requests with a few bytes changed, which go deeper than bytes at random. */
  const changed = fc
    .tuple(
      fc.constantFrom(put('3\r\nabc\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), put('abc', 'Content-Length: 3'), get('/a?b=c', 'Range: bytes=0-1')),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    )
    .map(([text, changes]) => {
      const buffer = Buffer.from(text, 'latin1')
      for (const [position, value] of changes) buffer[position % buffer.length] = value
      return buffer
    })

  test('get well-formed answers or none, and the server lives', async () => {
    const property = fc.asyncProperty(fc.oneof(bytes, changed), async (input) => {
      const socket = await dial(port)
      const received = readToEnd(socket)
      socket.end(input)
      for (const { status } of parseAnswers(await received)) assert.ok(status < 500, String(status))
      assert.equal((await exchangeRaw(port, alive))[0]?.status, 200)
    })
    await fc.assert(property, { numRuns: 300 })
  })
})
