import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { parseRepositoryPattern } from '../core/access.ts'
import { sealed } from '../testing/store-case.ts'
import { serveNewStore, type TestServer } from '../testing/served-store.ts'
import { Authentication } from './authentication.ts'

const hash = (text: string) => () => createHash('sha256').update(text).digest()
const pattern = parseRepositoryPattern
const authentication = new Authentication([
  { name: 'mine', scopes: ['read', 'write'], repositories: [pattern('mine/**')], hash: hash('mine') },
  { name: 'viewer', scopes: ['read'], repositories: [pattern('**')], hash: hash('viewer') },
])

async function serve(): Promise<TestServer> {
  const served: TestServer = await serveNewStore({
    storeFor: ({ method, headers }) => served.store.actingAs(authentication.accessOf({ method, authorization: headers.authorization })),
  })
  return served
}

const as = (token: string): { readonly headers: Readonly<Record<string, string>> } => ({ headers: { Authorization: `Bearer ${token}` } })

/** Status, code and body of a problem, without the names that were asked for. */
async function told(answer: Response, names: readonly string[]): Promise<unknown> {
  let text = await answer.text()
  for (const name of names) text = text.replaceAll(name, '<name>')
  return [answer.status, Object.fromEntries([...answer.headers].filter(([name]) => name !== 'date' && name !== 'content-length')), text]
}

describe('a server with tokens', () => {
  test('asks whoever wants to change something, and whoever says something wrong, for a token', async () => {
    const { address } = await serve()
    const body = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"repository":"mine/a"}' }
    for (const answer of [await fetch(`${address}/packages`, body), await fetch(`${address}/packages`, as('wrong'))]) {
      assert.equal(answer.status, 401)
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="artifact-store"')
      assert.equal(((await answer.json()) as { code: string }).code, 'unauthenticated')
    }
    const made = await fetch(`${address}/packages`, { ...body, headers: { ...body.headers, ...as('mine').headers } })
    assert.equal(made.status, 201)
    const forbidden = await fetch(`${address}/packages`, { ...body, headers: { ...body.headers, ...as('viewer').headers } })
    assert.deepEqual([forbidden.status, ((await forbidden.json()) as { code: string }).code], [403, 'forbidden'])
  })

  test('asks for the token before it looks at the body', async () => {
    const { address } = await serve()
    for (const [method, path] of [
      ['POST', '/packages'],
      ['PUT', '/packages/x/files/a'],
      ['PATCH', '/uploads/x'],
      ['POST', '/nothing'],
    ] as const) {
      const answer = await fetch(`${address}${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: '{' })
      assert.equal(answer.status, 401, path)
    }
  })

  test('answers to what may not be read as to what is not there: status, headers and body', async () => {
    const { address, store } = await serve()
    const { id, manifestDigest } = await sealed(store, 'theirs/b', { secret: 'x' }, { tags: ['v1'] })
    const absent = { id: '01998e9e-0000-7000-8000-000000000000', name: 'absent/b', digest: `sha256:${'0'.repeat(64)}` }
    const paths = (names: typeof absent): readonly string[] => [
      `/packages/${names.id}`,
      `/packages/${names.id}/manifest`,
      `/packages/${names.id}/document`,
      `/packages/${names.id}/files`,
      `/packages/${names.id}/files/secret`,
      `/packages/${names.id}/archive?format=tar`,
      `/resolve?ref=${names.name}:v1`,
      `/resolve?ref=${names.name}@${names.digest}`,
      `/repositories/${names.name}`,
      `/repositories/${names.name}/tags`,
      `/repositories/${names.name}/tags/v1`,
    ]
    const hidden = { id, name: 'theirs/b', digest: manifestDigest }
    for (const [index, path] of paths(hidden).entries()) {
      for (const how of [as('mine'), {}]) {
        const found = await told(await fetch(`${address}${path}`, how), Object.values(hidden))
        assert.deepEqual(found, await told(await fetch(`${address}${paths(absent)[index] ?? ''}`, how), Object.values(absent)), path)
        assert.equal((found as readonly unknown[])[0], 404, path)
      }
      assert.equal((await fetch(`${address}${path}`, as('viewer'))).status, 200, path)
    }
  })

  test('answers the question which files are missing alike for what nobody has and for what others have', async () => {
    const { address, store } = await serve()
    await sealed(store, 'theirs/b', { secret: 'theirs' })
    const mine = store.actingAs(authentication.accessOf({ authorization: 'Bearer mine' }))
    const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
    const answers: unknown[] = []
    for (const content of ['theirs', 'absent']) {
      const { id } = await mine.packages.open({ repository: 'mine/a' })
      const line = JSON.stringify({ path: 'a', type: 'file', digest: sha256(content), size: 6 })
      const headers = { ...as('mine').headers, 'Content-Type': 'application/jsonl' }
      const missing = await fetch(`${address}/packages/${id}/missing`, { method: 'POST', headers, body: line })
      const first = await told(missing, [])
      const put = await fetch(`${address}/packages/${id}/files/a`, { method: 'PUT', ...as('mine'), body: content })
      answers.push([first, await told(put, [sha256(content)])])
    }
    assert.deepEqual(answers[0], answers[1])
    assert.match(JSON.stringify(answers[0]), /\{\\"path\\":\\"a\\"\}/)
  })
})
