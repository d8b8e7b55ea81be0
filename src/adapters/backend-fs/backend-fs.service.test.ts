import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'node:test'
import type { TestContext } from 'node:test'
import { BackendFailedError, StorageFullError, StoreMissingError, StoreReadOnlyError } from '../../core/errors.ts'
import { parseObjectKey } from '../../ports/backend.ts'
import type { Backend, ObjectKey } from '../../ports/backend.ts'
import { mountTmpfs, serviceTest } from '../../testing/service-test.ts'
import { assertOrder, traceSystemCalls } from '../../testing/system-call-trace.ts'
import type { SystemCall } from '../../testing/system-call-trace.ts'
import { openFileSystemBackend } from './backend-fs.ts'

const MIB = 1024 * 1024
const key = parseObjectKey('store/session/object')
const other = parseObjectKey('store/session/other')

async function read(backend: Backend, name: ObjectKey): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(backend.get(name)))
}

describe('the order of system calls', () => {
  const trace = (t: TestContext, program: string): { readonly calls: readonly SystemCall[]; readonly at: (path: string) => string } => {
    const root = mkdtempSync(join(tmpdir(), 'traced-'))
    t.after(() => rmSync(root, { recursive: true }))
    const calls = traceSystemCalls(`
      import { writeSync } from 'node:fs'
      import { createFileSystemBackend, openFileSystemBackend } from ${JSON.stringify(new URL('backend-fs.ts', import.meta.url).href)}
      const root = ${JSON.stringify(root)}
      const say = (text) => writeSync(1, text)
      ${program}
    `)
    const own = calls.filter(({ text }) => text.includes(root) || text.startsWith('write(1<'))
    return { calls: own, at: (path) => `${root}${path}`.replaceAll('.', '\\.') }
  }

  serviceTest('of a put: new folders and their parents, file, rename, folder, answer', ['strace'], async (t) => {
    const { calls, at } = trace(
      t,
      `const backend = await openFileSystemBackend(root)
       await backend.put('store/session/object', [Buffer.from('x')])
       say('acknowledged')`,
    )
    assertOrder(calls, [
      new RegExp(`^mkdir\\w*\\(.*"${at('/store')}"`),
      new RegExp(`^fsync\\(\\d+<${at('')}>\\) += 0`),
      new RegExp(`^mkdir\\w*\\(.*"${at('/store/session')}"`),
      new RegExp(`^fsync\\(\\d+<${at('/store')}>\\) += 0`),
      new RegExp(`^openat\\(.*"${at('/store/session/.object.put')}".*O_CREAT\\|O_EXCL.*O_NOFOLLOW`),
      new RegExp(`^pwrite\\w*\\(\\d+<${at('/store/session/.object.put')}>`),
      new RegExp(`^fdatasync\\(\\d+<${at('/store/session/.object.put')}>\\) += 0`),
      new RegExp(`^rename\\w*\\(.*"${at('/store/session/.object.put')}".*"${at('/store/session/object')}".*\\) += 0`),
      new RegExp(`^fsync\\(\\d+<${at('/store/session')}>\\) += 0`),
      /^write\(1<.*"acknowledged"/,
    ])
  })

  serviceTest('of a small put into a known folder has no call too many', ['strace'], async (t) => {
    const { calls } = trace(
      t,
      `const backend = await openFileSystemBackend(root)
       await backend.put('store/session/first', [Buffer.from('x')])
       say('begin')
       await backend.put('store/session/object', [Buffer.from('y')])
       say('end')`,
    )
    const names = calls.map(({ text }) => (text.startsWith('write(1<') ? (/"(\w+)"/.exec(text)?.[1] ?? '') : text.slice(0, text.indexOf('('))))
    const put = names.slice(names.indexOf('begin') + 1, names.indexOf('end')).map((name) => name.replace(/^(pwrite|rename).*/, '$1'))
    assert.deepEqual(put, ['openat', 'pwrite', 'fdatasync', 'rename', 'openat', 'fsync'])
  })

  serviceTest('of a large put: flushed on the way, and at the end after the last write', ['strace'], async (t) => {
    const { calls, at } = trace(
      t,
      `const backend = await openFileSystemBackend(root)
       const piece = Buffer.alloc(${String(3 * MIB)})
       await backend.put('store/session/object', Array.from({ length: 14 }, () => piece))
       say('acknowledged')`,
    )
    const writes = calls.filter(({ text }) => text.startsWith('pwrite'))
    const flushes = calls.filter(({ text }) => text.startsWith('fdatasync'))
    const renamed = calls.find(({ text }) => text.startsWith('rename'))
    assert.equal(writes.length, 42)
    for (const { text } of writes) assert.match(text, new RegExp(` = ${String(MIB)}$`))
    assert.equal(flushes.length, 2)
    const [last, lastWrite] = [flushes.at(-1), writes.at(-1)]
    assert.ok(last && lastWrite && renamed)
    assert.ok(writes.every(({ ended }) => ended < last.began) && last.ended < renamed.began)
    assertOrder(calls, [/^rename/, new RegExp(`^fsync\\(\\d+<${at('/store/session')}>\\) += 0`), /"acknowledged"/])
  })

  serviceTest('of an appender: linked durably at once, each flush after its writes', ['strace'], async (t) => {
    const { calls, at } = trace(
      t,
      `const backend = await openFileSystemBackend(root)
       const appender = await backend.createAppender('store/session/object')
       say('created')
       await appender.append([Buffer.from('x'), Buffer.from('y')])
       await appender.flush()
       say('flushed')
       await appender.append([Buffer.from('z')])
       await appender.flush()
       say('flushed')`,
    )
    const written = new RegExp(`^pwrite\\w*\\(\\d+<${at('/store/session/object')}>`)
    const flushed = new RegExp(`^fdatasync\\(\\d+<${at('/store/session/object')}>\\) += 0`)
    assertOrder(calls, [
      new RegExp(`^openat\\(.*"${at('/store/session/.object.put')}".*O_CREAT\\|O_EXCL`),
      new RegExp(`^rename\\w*\\(.*"${at('/store/session/object')}".*\\) += 0`),
      new RegExp(`^fsync\\(\\d+<${at('/store/session')}>\\) += 0`),
      /"created"/,
      written,
      flushed,
      /"flushed"/,
      written,
      flushed,
      /"flushed"/,
    ])
  })

  serviceTest('of a delete: temporary name, name, folder, answer; also when nothing is there any more', ['strace'], async (t) => {
    const { calls, at } = trace(
      t,
      `const backend = await openFileSystemBackend(root)
       await backend.put('store/session/other', [])
       await backend.put('store/session/object', [])
       say('begin')
       for (let times = 0; times < 2; times += 1) {
         await backend.delete('store/session/object')
         say('gone')
       }`,
    )
    const once = [
      new RegExp(`^unlink\\w*\\(.*"${at('/store/session/.object.put')}"`),
      new RegExp(`^unlink\\w*\\(.*"${at('/store/session/object')}"`),
      new RegExp(`^fsync\\(\\d+<${at('/store/session')}>\\) += 0`),
      /"gone"/,
    ]
    assertOrder(calls, [/"begin"/, ...once, ...once])
  })

  serviceTest('of creating the folder of a backend: each new folder, then its parent', ['strace'], async (t) => {
    const { calls, at } = trace(t, `await createFileSystemBackend(root + '/a/b')\nsay('created')`)
    assertOrder(calls, [
      new RegExp(`^mkdir\\w*\\(.*"${at('/a')}"`),
      new RegExp(`^fsync\\(\\d+<${at('')}>\\) += 0`),
      new RegExp(`^mkdir\\w*\\(.*"${at('/a/b')}"`),
      new RegExp(`^fsync\\(\\d+<${at('/a')}>\\) += 0`),
      /"created"/,
    ])
  })

  serviceTest('without flushes has none', ['strace'], async (t) => {
    const { calls } = trace(
      t,
      `const backend = await openFileSystemBackend(root, { flush: false })
       await backend.put('store/session/object', [Buffer.alloc(${String(40 * MIB)})])
       const appender = await backend.createAppender('store/session/other')
       await appender.append([Buffer.from('x')])
       await appender.flush()
       await backend.delete('store/session/object')`,
    )
    assert.ok(calls.some(({ text }) => text.startsWith('pwrite')))
    assert.deepEqual(
      calls.filter(({ text }) => /sync\(/.test(text)),
      [],
    )
  })
})

describe('a full disk', () => {
  serviceTest('refuses a put, keeps what is there, and takes what fits', ['mount'], async (t) => {
    const root = mountTmpfs(t, 'size=4m')
    const backend = await openFileSystemBackend(root)
    await backend.put(other, [Buffer.from('before')])
    await assert.rejects(backend.put(key, [Buffer.alloc(8 * MIB)]), StorageFullError)
    assert.deepEqual(readdirSync(`${root}/store/session`), ['other'])
    await backend.put(key, [Buffer.alloc(2 * MIB, 1)])
    assert.ok((await read(backend, key)).equals(Buffer.alloc(2 * MIB, 1)))
    assert.equal((await read(backend, other)).toString(), 'before')
  })

  serviceTest('refuses an append that may be repeated once there is space, at the same place', ['mount'], async (t) => {
    const backend = await openFileSystemBackend(mountTmpfs(t, 'size=4m'))
    await backend.put(other, [Buffer.alloc(2 * MIB)])
    const appender = await backend.createAppender(key)
    await appender.append([Buffer.alloc(100, 1)])
    const large = [Buffer.alloc(MIB, 2), Buffer.alloc(MIB, 3), Buffer.alloc(MIB, 4)]
    await assert.rejects(appender.append(large), StorageFullError)
    assert.equal(appender.size, 100)
    await backend.delete(other)
    await appender.append(large)
    await appender.flush()
    await appender.close()
    assert.ok((await read(backend, key)).equals(Buffer.concat([Buffer.alloc(100, 1), ...large])))
  })

  serviceTest('of inodes is one too', ['mount'], async (t) => {
    const root = mountTmpfs(t, 'nr_inodes=20')
    const backend = await openFileSystemBackend(root)
    await backend.put(key, [])
    for (let index = 0; readdirSync(root).length < 17; index += 1) writeFileSync(`${root}/filler-${String(index)}`, '')
    await assert.rejects(async () => {
      for (let index = 0; index < 5; index += 1) await backend.put(parseObjectKey(`store/session/${String(index)}`), [])
    }, StorageFullError)
    await assert.rejects(backend.createAppender(parseObjectKey('store/new/folder')), StorageFullError)
  })
})

describe('a file system', () => {
  serviceTest('that became read-only refuses writes and gives what it has', ['mount'], async (t) => {
    const root = mountTmpfs(t, 'size=4m')
    const backend = await openFileSystemBackend(root)
    await backend.put(key, [Buffer.from('x')])
    execFileSync('mount', ['-o', 'remount,ro', root])
    await assert.rejects(backend.put(other, [Buffer.from('y')]), StoreReadOnlyError)
    await assert.rejects(backend.put(parseObjectKey('store/new/object'), [Buffer.from('y')]), StoreReadOnlyError)
    await assert.rejects(backend.createAppender(other), StoreReadOnlyError)
    await assert.rejects(backend.delete(key), StoreReadOnlyError)
    assert.equal((await read(backend, key)).toString(), 'x')
    assert.equal((await read(await openFileSystemBackend(root), key)).toString(), 'x')
  })

  serviceTest('that was unmounted is missing, not empty', ['mount'], async (t) => {
    const root = mountTmpfs(t, 'size=4m')
    const backend = await openFileSystemBackend(root)
    await backend.put(key, [Buffer.from('x')])
    execFileSync('umount', [root])
    await assert.rejects(read(backend, key), StoreMissingError)
    await assert.rejects(backend.delete(key), StoreMissingError)
    await assert.rejects(backend.put(other, [Buffer.from('y')]), StoreMissingError)
    await assert.rejects(Array.fromAsync(backend.list('')), StoreMissingError)
    assert.deepEqual(readdirSync(root), [])
  })

  serviceTest('where this user may not write refuses writes, and may refuse reads', ['mount'], async (t) => {
    const root = mountTmpfs(t, 'size=4m,mode=755')
    const backend = await openFileSystemBackend(root)
    await backend.put(key, [Buffer.from('x')])
    await backend.put(other, [Buffer.from('y')])
    chmodSync(`${root}/${other}`, 0o600)
    process.seteuid?.(65_534)
    try {
      const stranger = await openFileSystemBackend(root)
      await assert.rejects(stranger.put(parseObjectKey('store/session/new'), [Buffer.from('y')]), StoreReadOnlyError)
      await assert.rejects(stranger.put(parseObjectKey('strange/session/new'), [Buffer.from('y')]), StoreReadOnlyError)
      await assert.rejects(stranger.delete(key), StoreReadOnlyError)
      assert.equal((await read(stranger, key)).toString(), 'x')
      await assert.rejects(read(stranger, other), BackendFailedError)
    } finally {
      process.seteuid?.(0)
    }
  })
})
