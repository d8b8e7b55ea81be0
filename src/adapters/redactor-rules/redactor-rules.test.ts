import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { defaultRedactionRules } from './redaction-rule.ts'
import { createRuleRedactor } from './redactor-rules.ts'

async function redacted(pieces: readonly Uint8Array[]): Promise<{ readonly bytes: Buffer; readonly matches: Record<string, number> }> {
  const redactor = createRuleRedactor(defaultRedactionRules)
  const out: Uint8Array[] = []
  async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* pieces
  }
  for await (const piece of redactor.redact('f', source())) out.push(piece)
  return { bytes: Buffer.concat(out), matches: Object.fromEntries(redactor.matches()) }
}

const secret = 'S3cr3t-Value_0123456789'
const leaks: readonly (readonly [string, string])[] = [
  ['authorization-header', `GET / HTTP/1.1\r\nAuthorization: Basic ${secret}\r\nHost: a\r\n`],
  ['authorization-header', `proxy-authorization: Bearer ${secret}\n`],
  ['authorization-header', `{"request":"GET /\\r\\nAuthorization: Bearer ${secret}\\r\\nHost: a"}`],
  ['authorization-header', `{Authorization=[Basic ${secret}], Host=[a]}\n`],
  ['cookie-header', `Set-Cookie: JSESSIONID=${secret}; Path=/\n`],
  ['secret-parameter', `org.apache.chemistry.opencmis.oauth.clientSecret=${secret}\n`],
  ['secret-parameter', `org.apache.chemistry.opencmis.binding.proxypassword=${secret}\n`],
  ['secret-parameter', `POST /token\n\ngrant_type=password&client_secret=${secret}&scope=x`],
  ['secret-parameter', `?access_token=${secret}&x=1`],
  ['secret-member', `{"access_token": "${secret}", "expires_in": 3600}`],
  ['secret-member', `"response":"{\\"refresh_token\\":\\"${secret}\\"}"`],
  ['secret-element', `<wsse:Password Type="text">${secret}</wsse:Password>`],
  ['credentials-in-url', `http://user:${secret}@proxy.example:3128/`],
]

describe('secrets in reports', () => {
  for (const [rule, text] of leaks) {
    test(`${rule}: ${text.replace(/\s+/g, ' ').slice(0, 60)}`, async () => {
      const { bytes, matches } = await redacted([Buffer.from(text)])
      assert.ok(!bytes.includes(secret), bytes.toString())
      assert.ok((matches[rule] ?? 0) >= 1, JSON.stringify(matches))
      assert.ok(bytes.includes(`[redacted:${rule}]`))
    })
  }

  test('are found whatever pieces they arrive in', async () => {
    const text = leaks.map(([, leak]) => leak).join('\n')
    const whole = await redacted([Buffer.from(text)])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(text.length), { maxLength: 40 }), async (cuts) => {
        const points = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        const pieces = points.slice(1).map((end, index) => Buffer.from(text.slice(points[index] ?? 0, end)))
        assert.deepEqual(await redacted(pieces), whole)
      }),
    )
  })

  test('of any length are dropped without being held', async () => {
    const long = Array.from({ length: 500 }, () => Buffer.alloc(10_000, 'x'))
    const { bytes } = await redacted([Buffer.from('password='), ...long, Buffer.from('\nnext line')])
    assert.equal(bytes.toString(), 'password=[redacted:secret-parameter]\nnext line')
  })

  test('bytes without secrets come out as they went in, text or not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 2_000 })), async (pieces) => {
        const { bytes, matches } = await redacted(pieces)
        if (Object.keys(matches).length === 0) assert.equal(Buffer.compare(bytes, Buffer.concat(pieces)), 0)
      }),
    )
  })

  test('an empty value is none', async () => {
    const text = 'password=\n"secret": ""\n<password></password>\n'
    assert.deepEqual(await redacted([Buffer.from(text)]), { bytes: Buffer.from(text), matches: {} })
  })
})
