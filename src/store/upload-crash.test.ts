import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { digestOf } from '../core/digest.ts'
import { piecesOfUpload, uploadContent } from '../testing/upload-content.ts'
import type { UploadLine } from '../testing/upload-child.ts'
import { examine } from './doctor.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'
import { recoverStore } from './recover.ts'

/** Kills a run; the nightly run asks for more. */
const CYCLES = Number(process.env['ARTIFACT_STORE_CRASHES'] ?? 18)
const CHILD = fileURLToPath(new URL('../testing/upload-child.ts', import.meta.url))
/** Steps that write nothing, or that a process which is never closed does not reach. */
const NEVER_AGAIN = /^backend\.(get|head|list|close)|^appender\.close|^registry\.(create|release|seal):/

let folder = ''
let directory = ''
let steps: readonly string[] = []
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upload-crash-'))
  directory = join(folder, 'data')
  steps = await stepsOfAnUpload()
})
after(() => rm(folder, { recursive: true, force: true }))

/** Every named step of uploading, found by watching one upload of a part in a pack, one of its own, and their recipe. */
async function stepsOfAnUpload(): Promise<readonly string[]> {
  const seen = new Set<string>()
  const store = await createStore(directory, { observe: (step) => seen.add(step), actor: 'os:crash' })
  const draft = await store.packages.open({ repository: 'watched' })
  const { content } = uploadContent(400)
  const { id } = await store.uploads.create({ packageId: draft.id, path: 'f', length: content.length })
  await store.uploads.append(id, 0, piecesOfUpload(content.subarray(0, 1_000)))
  await store.uploads.append(id, 1_000, piecesOfUpload(content.subarray(1_000)))
  await draft.finalize()
  await store.close()
  return [...seen].filter((step) => !NEVER_AGAIN.test(step)).toSorted()
}

test('an upload goes on from what was acknowledged, wherever the process is killed', { timeout: 600_000 }, async (t) => {
  const own = steps.filter((step) => step.startsWith('registry.upload-'))
  assert.ok(own.length >= 12, `steps: ${steps.join(' ')}`)
  let finished = 0
  let continued = 0
  for (let cycle = 0; cycle < CYCLES; cycle += 1) {
    // Two of three are killed at a step, more often at one of uploads; the others at a random moment.
    const from = cycle % 3 === 0 ? steps : own
    const step = cycle % 3 === 2 ? undefined : from[(cycle * 7) % from.length]
    const failpoint = step === undefined ? '-' : `${step}:${1 + (cycle % 4)}`
    const lines = await uploadUntilKilled(cycle * 1_000, failpoint)
    const last = lastOfEach(lines)
    {
      await using store = await openStore(directory, { actor: 'os:crash' })
      for (const line of last) {
        const before = await checkKept(store, line, failpoint)
        if (line.sealed === true) finished += 1
        else if (before > 0) continued += 1
      }
    }
    await checkSound(failpoint)
  }
  t.diagnostic(`${CYCLES} processes were killed; ${finished} uploads had been finished, ${continued} went on from the middle; ${own.length} steps`)
  assert.ok(continued > 0)
  const copy = join(folder, 'copy')
  await cp(directory, copy, { recursive: true })
  await recoverStore(copy)
  await using store = await openStore(copy)
  for await (const { path, problem } of store.packages.verify('all')) assert.equal(problem, undefined, path ?? '')
})

async function uploadUntilKilled(seed: number, failpoint: string): Promise<readonly UploadLine[]> {
  const child = spawn(process.execPath, [CHILD, directory, String(seed), failpoint], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const lines: UploadLine[] = []
  let timer: NodeJS.Timeout | undefined
  createInterface({ input: child.stdout }).on('line', (line) => {
    // Sound: the line is what upload-child.ts writes.
    lines.push(JSON.parse(line) as UploadLine)
    if (failpoint === '-') timer ??= setTimeout(() => child.kill('SIGKILL'), Math.random() * 300)
  })
  // A step that is not reached again in a long-lived process must not keep the test waiting.
  const guard = setTimeout(() => child.kill('SIGKILL'), 2_000)
  await exit
  clearTimeout(timer)
  clearTimeout(guard)
  assert.equal(child.signalCode, 'SIGKILL', `the uploading process ended by itself with ${String(child.exitCode)} at ${failpoint}`)
  return lines
}

function lastOfEach(lines: readonly UploadLine[]): readonly UploadLine[] {
  return [...new Map(lines.map((line) => [line.upload, line])).values()]
}

/** Goes on with an upload, if it is not finished, and looks at what it became. @returns where it stood */
async function checkKept(store: Store, { seed, upload, package: id, offset, sealed }: UploadLine, failpoint: string): Promise<number> {
  const { content } = uploadContent(seed)
  const found = await store.uploads.get(upload)
  assert.ok(found.offset >= offset && found.offset <= content.length, `${found.offset} of ${offset} after ${failpoint}`)
  if (sealed !== true) {
    const info = found.digest === undefined ? await store.uploads.append(upload, found.offset, piecesOfUpload(content.subarray(found.offset))) : found
    assert.equal(info.digest, digestOf(content), failpoint)
    // Sealing may have been under way.
    await (await store.packages.open({ repository: 'crash', runId: `run-${seed}` })).finalize()
  }
  const read = Buffer.concat(await Array.fromAsync(store.files.read(id, 'f')))
  assert.ok(read.equals(content), failpoint)
  return found.offset
}

async function checkSound(failpoint: string): Promise<void> {
  for await (const { check, status, observed } of examine(directory, { measureFlushes: false })) {
    if (check === 'references' || check === 'damage') assert.equal(status, 'ok', `${check} after ${failpoint}: ${observed}`)
  }
}
