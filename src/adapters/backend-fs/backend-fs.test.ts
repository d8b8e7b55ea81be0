import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { AlreadyExistsError, BackendFailedError, ObjectMissingError, StoreMissingError } from '../../core/errors.ts'
import { parseObjectKey } from '../../ports/backend.ts'
import type { Backend, ObjectKey } from '../../ports/backend.ts'
import { backendSuite } from '../../testing/backend-suite.ts'
import { createFileSystemBackend, openFileSystemBackend } from './backend-fs.ts'

const roots = new WeakMap<Backend, string>()

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'backend-fs-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

backendSuite('file system', {
  open: async (t) => {
    const root = newFolder(t)
    const backend = await openFileSystemBackend(root)
    roots.set(backend, root)
    return backend
  },
  reopen: (closed) => openFileSystemBackend(roots.get(closed) ?? ''),
})

const key = parseObjectKey('store/session/object')

async function read(backend: Backend, name: ObjectKey): Promise<string> {
  return Buffer.concat(await Array.fromAsync(backend.get(name))).toString()
}

async function keysOf(backend: Backend): Promise<readonly string[]> {
  return (await Array.fromAsync(backend.list(''))).map((info) => info.key)
}

describe('the folder of a backend', () => {
  test('is not created by opening it', async (t) => {
    const root = join(newFolder(t), 'missing')
    await assert.rejects(openFileSystemBackend(root), StoreMissingError)
    assert.ok(!existsSync(root))
  })

  test('is created on purpose, with its parents, and may exist already', async (t) => {
    const root = join(newFolder(t), 'a', 'b', 'c')
    await (await createFileSystemBackend(root)).put(key, [Buffer.from('x')])
    assert.equal(readFileSync(join(root, key), 'utf8'), 'x')
    assert.equal(await read(await createFileSystemBackend(root), key), 'x')
  })

  test('must be a folder', async (t) => {
    const root = join(newFolder(t), 'file')
    writeFileSync(root, '')
    await assert.rejects(openFileSystemBackend(root), StoreMissingError)
  })

  test('may be a link to a folder', async (t) => {
    const folder = newFolder(t)
    mkdirSync(`${folder}/real`)
    symlinkSync('real', `${folder}/link`)
    const backend = await openFileSystemBackend(`${folder}/link`)
    await backend.put(key, [Buffer.from('x')])
    assert.equal(readFileSync(`${folder}/real/${key}`, 'utf8'), 'x')
    assert.equal(await read(backend, key), 'x')
  })

  for (const [what, replace] of [
    ['that is gone', (): void => undefined],
    ['that another one has replaced', (root: string): void => mkdirSync(root)],
  ] as const) {
    test(`${what} is noticed by every call: nothing is taken for missing, deleted or stored`, async (t) => {
      const folder = newFolder(t)
      const root = `${folder}/root`
      const backend = await createFileSystemBackend(root)
      const stored = parseObjectKey('store/session/stored')
      await backend.put(stored, [Buffer.from('x')])
      assert.equal(await read(backend, stored), 'x')
      renameSync(root, `${folder}/elsewhere`)
      replace(root)
      const never = parseObjectKey('store/other/never')
      for (const name of [stored, never]) {
        await assert.rejects(read(backend, name), StoreMissingError)
        await assert.rejects(backend.head(name), StoreMissingError)
        await assert.rejects(backend.delete(name), StoreMissingError)
        await assert.rejects(backend.put(parseObjectKey(`${name}-new`), [Buffer.from('y')]), StoreMissingError)
        await assert.rejects(backend.createAppender(parseObjectKey(`${name}-new`)), StoreMissingError)
      }
      await assert.rejects(keysOf(backend), StoreMissingError)
      assert.deepEqual(existsSync(root) ? readdirSync(root) : [], [])
      assert.equal(readFileSync(`${folder}/elsewhere/${stored}`, 'utf8'), 'x')
    })
  }
})

describe('the temporary file of a put', () => {
  const temporary = 'store/session/.object.put'

  test('lies beside its object and is gone in the end', async (t) => {
    const root = newFolder(t)
    const backend = await openFileSystemBackend(root)
    const during: string[] = []
    const source = function* (): Generator<Uint8Array> {
      during.push(...readdirSync(`${root}/store/session`))
      yield Buffer.from('x')
    }
    await backend.put(key, source())
    assert.deepEqual(during, ['.object.put'])
    assert.deepEqual(readdirSync(`${root}/store/session`), ['object'])
  })

  test('that a killed writer left is no object, keeps the key used, and goes with a delete', async (t) => {
    const root = newFolder(t)
    const backend = await openFileSystemBackend(root)
    mkdirSync(`${root}/store/session`, { recursive: true })
    writeFileSync(`${root}/${temporary}`, 'half of')
    assert.deepEqual(await keysOf(backend), [])
    assert.equal(await backend.head(key), undefined)
    await assert.rejects(read(backend, key), ObjectMissingError)
    await assert.rejects(backend.put(key, [Buffer.from('x')]), AlreadyExistsError)
    await assert.rejects(backend.createAppender(key), AlreadyExistsError)
    await backend.delete(key)
    assert.deepEqual(readdirSync(`${root}/store`), [])
  })

  test('removed by a delete meanwhile makes the put fail, not come back', async (t) => {
    const root = newFolder(t)
    const backend = await openFileSystemBackend(root)
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x')
      await backend.delete(key)
    }
    await assert.rejects(backend.put(key, source()), BackendFailedError)
    assert.deepEqual(await keysOf(backend), [])
  })
})

describe('folders inside', () => {
  test('that became empty are removed, except the store’s own, and made again when needed', async (t) => {
    const root = newFolder(t)
    const backend = await openFileSystemBackend(root)
    const [one, two] = [parseObjectKey('store/log/a/1'), parseObjectKey('store/log/b/2')]
    await backend.put(one, [Buffer.from('1')])
    await backend.put(two, [Buffer.from('2')])
    await backend.delete(one)
    assert.deepEqual(readdirSync(`${root}/store/log`), ['b'])
    await backend.delete(two)
    assert.deepEqual(readdirSync(`${root}/store`), [])
    await backend.put(parseObjectKey('store/log/a/3'), [Buffer.from('3')])
    rmSync(`${root}/store`, { recursive: true })
    await backend.put(parseObjectKey('store/log/a/4'), [Buffer.from('4')])
    assert.deepEqual(await keysOf(backend), ['store/log/a/4'])
  })

  test('removed by other processes over and over do not fail puts', async (t) => {
    const root = newFolder(t)
    const [ours, theirs] = [await openFileSystemBackend(root), await openFileSystemBackend(root)]
    for (let round = 0; round < 100; round += 1) {
      const [put, removed] = [parseObjectKey(`store/s/put-${String(round)}`), parseObjectKey(`store/s/removed-${String(round)}`)]
      await theirs.put(removed, [])
      await Promise.all([theirs.delete(removed), ours.put(put, [Buffer.from('x')])])
      assert.equal(await read(ours, put), 'x')
      await theirs.delete(put)
    }
  })

  test('cannot be where an object is', async (t) => {
    const backend = await openFileSystemBackend(newFolder(t))
    await backend.put(parseObjectKey('store/object'), [Buffer.from('x')])
    await assert.rejects(backend.put(parseObjectKey('store/object/below'), []), AlreadyExistsError)
    await assert.rejects(read(backend, parseObjectKey('store/object/below')), ObjectMissingError)
    assert.equal(await backend.head(parseObjectKey('store/object/below')), undefined)
    await backend.delete(parseObjectKey('store/object/below'))
    assert.equal(await read(backend, parseObjectKey('store/object')), 'x')
  })
})

describe('what is no object', () => {
  test('is not listed and not read', async (t) => {
    const root = newFolder(t)
    const backend = await openFileSystemBackend(root)
    await backend.put(key, [Buffer.from('x')])
    mkdirSync(`${root}/lost+found`)
    mkdirSync(`${root}/store/.snapshot`)
    for (const name of ['notes with spaces', 'store/.DS_Store', 'store/.snapshot/x', 'store/ä', 'store/session/new\nline'])
      writeFileSync(`${root}/${name}`, '')
    writeFileSync(Buffer.concat([Buffer.from(`${root}/store/`), Buffer.of(0xff)]), '')
    execFileSync('mkfifo', [`${root}/store/pipe`])
    assert.deepEqual(await keysOf(backend), [key])
    for (const name of ['store/pipe', 'store', 'store/session']) {
      await assert.rejects(read(backend, parseObjectKey(name)), ObjectMissingError)
      assert.equal(await backend.head(parseObjectKey(name)), undefined)
    }
  })

  test('includes links, which are not followed to anywhere', async (t) => {
    const folder = newFolder(t)
    const root = `${folder}/root`
    const backend = await createFileSystemBackend(root)
    mkdirSync(`${folder}/outside/session`, { recursive: true })
    writeFileSync(`${folder}/outside/session/secret`, 'secret')
    await backend.put(key, [Buffer.from('x')])
    symlinkSync('../../outside/session/secret', `${root}/store/file`)
    symlinkSync('../../outside/session', `${root}/store/linked`)
    symlinkSync('../outside', `${root}/other`)
    assert.deepEqual(await keysOf(backend), [key])
    assert.deepEqual(await Array.fromAsync(backend.list('other/session/')), [])
    await assert.rejects(backend.put(parseObjectKey('store/file'), []), AlreadyExistsError)
    for (const name of ['store/file', 'store/linked/secret', 'other/session/secret']) {
      const through = parseObjectKey(name)
      await assert.rejects(read(backend, through), ObjectMissingError)
      assert.equal(await backend.head(through), undefined)
      await backend.delete(through)
    }
    await assert.rejects(backend.put(parseObjectKey('store/linked/new'), []), BackendFailedError)
    await assert.rejects(backend.createAppender(parseObjectKey('other/session/new')), BackendFailedError)
    assert.deepEqual(readdirSync(`${folder}/outside/session`), ['secret'])
    assert.equal(readFileSync(`${folder}/outside/session/secret`, 'utf8'), 'secret')
  })
})

test('without flushes everything else is the same', async (t) => {
  const backend = await openFileSystemBackend(newFolder(t), { flush: false })
  await backend.put(key, [Buffer.from('x')])
  const appender = await backend.createAppender(parseObjectKey('store/session/appended'))
  await appender.append([Buffer.from('y')])
  await appender.flush()
  await appender.close()
  assert.deepEqual(await keysOf(backend), ['store/session/appended', key])
})
