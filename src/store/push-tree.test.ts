import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { AbortedError, InputInvalidError, StorageFullError, TreeRefusedError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import { makeAwkwardTree } from '../testing/awkward-tree.ts'
import type { Draft, KnownFile, PutItem, PutOutcome, Store } from './interface.ts'
import { createStore } from './open.ts'
import type { PushProgress, PushReport } from './push-report.ts'
import { pushTree, type PushTreeOptions } from './push-tree.ts'

const scratch = mkdtempSync(join(tmpdir(), 'push-tree-'))
let store: Store
before(async () => {
  store = await createStore(join(scratch, 'store'))
})
after(async () => {
  await store.close()
  rmSync(scratch, { recursive: true })
})

let folders = 0
function newFolder(): string {
  const folder = join(scratch, `tree-${++folders}`)
  mkdirSync(folder)
  return folder
}

/** A tree of some files in two folders. */
function smallTree(): string {
  const folder = newFolder()
  mkdirSync(join(folder, 'sub'))
  for (const path of ['a', 'b', 'sub/c', 'sub/d']) writeFileSync(join(folder, path), `content of ${path}`)
  return folder
}

/** A clock by which the files of a test are old enough to be remembered. */
const later = { now: () => Date.now() + 60_000 }

type Target = Parameters<typeof pushTree>[0]

/** Stands between a push and its draft, and notes what is asked. */
class Watched implements Target {
  /** Files that were read. */
  readonly read: string[] = []
  /** Sizes of the calls of `attach`. */
  readonly batches: number[] = []
  puts = 0
  readonly #draft: Draft
  readonly #isThere: (file: KnownFile) => boolean

  /** @param isThere denies that the store has some bytes */
  constructor(draft: Draft, isThere: (file: KnownFile) => boolean = () => true) {
    this.#draft = draft
    this.#isThere = isThere
  }

  async attach(files: readonly KnownFile[]): Promise<readonly boolean[]> {
    this.batches.push(files.length)
    const asked = files.filter(this.#isThere)
    const answers = new Map((await this.#draft.attach(asked)).map((answer, index) => [asked[index], answer]))
    return files.map((file) => answers.get(file) ?? false)
  }

  putMany(items: AsyncIterable<PutItem> | Iterable<PutItem>, options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly PutOutcome[]> {
    this.puts++
    return this.#draft.putMany(this.#noted(items), options)
  }

  async *#noted(items: AsyncIterable<PutItem> | Iterable<PutItem>): AsyncGenerator<PutItem, void, undefined> {
    for await (const item of items) {
      if (item.kind === 'file') this.read.push(item.path)
      yield item
    }
  }
}

interface Pushed {
  readonly digest: string
  readonly watched: Watched
  readonly report: PushReport
}

async function push(folder: string, options: PushTreeOptions = {}, isThere?: (file: KnownFile) => boolean): Promise<Pushed> {
  const draft = await store.packages.open({ repository: 'default/tree' })
  const target = new Watched(draft, isThere)
  const report = await pushTree(target, folder, { clock: later, ...options })
  return { digest: (await draft.finalize()).manifestDigest, watched: target, report }
}

async function problemsOf(
  folder: string,
  options: PushTreeOptions = {},
): Promise<{ readonly problems: readonly EntryProblem[]; readonly watched: Watched }> {
  const draft = await store.packages.open({ repository: 'default/tree' })
  const target = new Watched(draft)
  try {
    await pushTree(target, folder, options)
    return { problems: [], watched: target }
  } catch (error) {
    if (error instanceof TreeRefusedError) return { problems: error.problems, watched: target }
    throw error
  } finally {
    await draft.abort()
  }
}

describe('pushing a folder', () => {
  test('reports what it did, and tells how far it is', async () => {
    const folder = newFolder()
    makeAwkwardTree(folder)
    const seen: PushProgress[] = []
    const { report } = await push(folder, { onProgress: (progress) => seen.push(progress) })
    assert.deepEqual({ ...report, reused: 0 }, { files: 16, symlinks: 5, directories: 1, bytes: 3_637_501, unread: 0, reused: 0 })
    assert.deepEqual(seen.at(-1), { phase: 'send', files: 16, bytes: 3_637_501, totalFiles: 16, totalBytes: 3_637_501 })
    assert.equal(seen[0]?.phase, 'list')
  })

  test('leaves out what is excluded', async () => {
    const folder = smallTree()
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const { watched } = await push(folder, { exclude: ['sub/**', 'pipe'] })
    assert.deepEqual(watched.read, ['a', 'b'])
    await assert.rejects(push(folder, { exclude: ['['] }), InputInvalidError)
  })

  test('takes a single file under its own name', async () => {
    const folder = smallTree()
    symlinkSync('a', join(folder, 'link'))
    assert.deepEqual((await push(join(folder, 'sub/c'))).watched.read, ['c'])
    assert.deepEqual((await push(join(folder, 'link'))).watched.read, ['link'])
  })

  test('refuses a tree before any byte is stored, and names all that is wrong', async () => {
    const folder = smallTree()
    execFileSync('mkfifo', [join(folder, 'pipe')])
    writeFileSync(join(folder, 'e\u0301'), 'decomposed')
    writeFileSync(join(folder, '\u00e9'), 'composed')
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/invalid-`), Buffer.from([0xff])]), '')
    symlinkSync('../../out', join(folder, 'sub/out'))
    symlinkSync('.', join(folder, 'self'))
    symlinkSync('self/..', join(folder, 'up-through'))
    const { problems, watched } = await problemsOf(folder)
    const reasons = problems.map(({ path, reason }) => `${path}: ${reason}`).toSorted()
    assert.equal(reasons.length, 5, reasons.join('\n'))
    for (const pattern of [
      /^e\u0301: is the same name/,
      /^invalid-\\xff: is not valid UTF-8/,
      /^pipe: is a named pipe/,
      /^sub\/out: leads out of the tree/,
      /^up-through: .*behind another link/,
    ]) {
      assert.ok(
        reasons.some((reason) => pattern.test(reason)),
        `${String(pattern)}\n${reasons.join('\n')}`,
      )
    }
    assert.equal(watched.puts, 0)
  })

  test('names all files that grow, shrink, change, vanish or become something else while they are read', async () => {
    const folder = smallTree()
    for (const path of ['grows', 'shrinks', 'changes', 'vanishes', 'becomes a link']) writeFileSync(join(folder, path), 'content')
    writeFileSync(join(folder, 'large'), Buffer.alloc(3 << 20))
    const change = once(() => {
      appendFileSync(join(folder, 'grows'), 'more')
      appendFileSync(join(folder, 'large'), 'more')
      writeFileSync(join(folder, 'shrinks'), 'less')
      writeFileSync(join(folder, 'changes'), 'CONTENT')
      unlinkSync(join(folder, 'vanishes'))
      unlinkSync(join(folder, 'becomes a link'))
      symlinkSync('a', join(folder, 'becomes a link'))
    })
    const { problems } = await problemsOf(folder, { onProgress: change })
    assert.deepEqual(problems.map(({ path }) => path).toSorted(), ['becomes a link', 'changes', 'grows', 'large', 'shrinks', 'vanishes'])
  })

  test('names links that the store refuses', async () => {
    const folder = smallTree()
    symlinkSync('a', join(folder, 'link'))
    mkdirSync(join(folder, 'empty'))
    const target: Target = {
      attach: () => Promise.resolve([]),
      async *putMany(items) {
        const all = await Array.fromAsync(items)
        yield all.map((item, index) =>
          item.kind === 'file' ? { index, size: 0, reused: false } : { index, error: new InputInvalidError('not here') },
        )
      },
    }
    await assert.rejects(pushTree(target, folder), (error) => {
      assert.ok(error instanceof TreeRefusedError)
      assert.deepEqual(error.problems, [
        { path: 'link', reason: 'not here' },
        { path: 'empty', reason: 'not here' },
      ])
      return true
    })
  })

  test('fails as the store does when the store fails', async () => {
    const full = new StorageFullError('no space left')
    const target: Target = {
      attach: () => Promise.reject(full),
      async *putMany() {
        yield [{ index: 0, error: full }]
      },
    }
    await assert.rejects(pushTree(target, smallTree()), (error) => error === full)
  })
})

describe('pushing a folder again', () => {
  test('reads nothing of what is unchanged, and gives the same digest', async () => {
    const folder = newFolder()
    makeAwkwardTree(folder)
    const cacheDir = newFolder()
    const first = await push(folder, { cacheDir })
    const second = await push(folder, { cacheDir })
    assert.equal(first.watched.read.length, 16)
    assert.deepEqual(second.watched.read, [])
    assert.equal(second.report.unread, 16)
    assert.equal(second.report.bytes, first.report.bytes)
    assert.equal(second.digest, first.digest)
  })

  test('reads what changed, even in the same size with its time put back', async () => {
    const folder = smallTree()
    const cacheDir = newFolder()
    await push(folder, { cacheDir })
    const { atime, mtime } = lstatSync(join(folder, 'b'))
    writeFileSync(join(folder, 'b'), 'CONTENT of b')
    utimesSync(join(folder, 'b'), atime, mtime)
    const again = await push(folder, { cacheDir })
    assert.deepEqual(again.watched.read, ['b'])
    assert.equal(again.digest, (await push(folder)).digest)
  })

  test('reads what was too young to be remembered', async () => {
    const folder = smallTree()
    const cacheDir = newFolder()
    const atOnce = { now: () => Date.now() }
    await push(folder, { cacheDir, clock: atOnce })
    assert.equal((await push(folder, { cacheDir, clock: atOnce })).watched.read.length, 4)
    await push(folder, { cacheDir })
    assert.equal((await push(folder, { cacheDir })).watched.read.length, 0)
  })

  test('reads and sends what the store does not have any more', async () => {
    const folder = smallTree()
    const cacheDir = newFolder()
    const first = await push(folder, { cacheDir })
    const again = await push(folder, { cacheDir }, ({ path }) => path !== 'sub/c')
    assert.deepEqual(again.watched.read, ['sub/c'])
    assert.equal(again.digest, first.digest)
    assert.deepEqual((await push(folder, { cacheDir })).watched.read, [])
  })

  test('reads everything when told to, and remembers it', async () => {
    const folder = smallTree()
    const cacheDir = newFolder()
    await push(folder, { cacheDir })
    const again = await push(folder, { cacheDir, rehash: true })
    assert.equal(again.watched.read.length, 4)
    assert.deepEqual([again.report.unread, again.report.reused], [0, 4])
    assert.equal((await push(folder, { cacheDir })).watched.read.length, 0)
  })

  test('takes a mode that changed', async () => {
    const folder = smallTree()
    const cacheDir = newFolder()
    await push(folder, { cacheDir })
    chmodSync(join(folder, 'a'), 0o755)
    const again = await push(folder, { cacheDir })
    assert.equal(again.digest, (await push(folder)).digest)
  })

  test('asks in batches, and stops between them when told to', async () => {
    const folder = newFolder()
    for (let index = 0; index < 2_300; index++) writeFileSync(join(folder, `f${index}`), '')
    const cacheDir = newFolder()
    await push(folder, { cacheDir })
    assert.deepEqual((await push(folder, { cacheDir })).watched.batches, [1_000, 1_000, 300])

    const stop = new AbortController()
    const draft = new Watched(await store.packages.open({ repository: 'default/tree' }))
    const onProgress = ({ phase }: PushProgress): void => (phase === 'send' ? stop.abort() : undefined)
    await assert.rejects(pushTree(draft, folder, { cacheDir, clock: later, signal: stop.signal, onProgress }), AbortedError)
    assert.deepEqual(draft.batches, [1_000])
  })

  test('works where nothing can be remembered', async () => {
    const folder = smallTree()
    await push(folder, { cacheDir: join(folder, 'a') })
    assert.equal((await push(folder, { cacheDir: '/dev/null' })).report.files, 4)
  })

  test('goes on after a stop where it was', async () => {
    const folder = newFolder()
    for (let index = 0; index < 3_000; index++) writeFileSync(join(folder, `f${index}`), `${index}`)
    const cacheDir = newFolder()
    const stop = new AbortController()
    const draft = await store.packages.open({ repository: 'default/tree', runId: 'stopped' })
    const onProgress = ({ phase, files }: PushProgress): void => {
      if (phase === 'send' && files > 0) stop.abort()
    }
    await assert.rejects(pushTree(draft, folder, { cacheDir, clock: later, signal: stop.signal, onProgress }), AbortedError)
    const resumed = new Watched(await store.packages.open({ repository: 'default/tree', runId: 'stopped' }))
    const report = await pushTree(resumed, folder, { cacheDir, clock: later })
    assert.ok(report.unread > 0)
    assert.equal(report.unread + resumed.read.length, 3_000)
  })
})

function once(action: () => void): () => void {
  let done = false
  return () => {
    if (!done) action()
    done = true
  }
}
