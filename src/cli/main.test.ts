import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pack } from 'tar-stream'

const main = fileURLToPath(new URL('main.ts', import.meta.url))
const run = promisify(execFile)

let directory = ''
let environment: NodeJS.ProcessEnv = {}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'main-'))
  environment = { ...process.env, ARTIFACT_STORE_HOME: join(directory, 'store'), ARTIFACT_STORE_CACHE: join(directory, 'cache') }
  await node(main, 'init')
})
after(() => rm(directory, { recursive: true }))

function node(...given: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, given, { env: environment })
}

function start(given: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [main, ...given], {
    env: { ...environment, ...more },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
}

async function errorText(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const piece of child.stderr ?? []) text += String(piece)
  return text
}

describe('the program', () => {
  test('starts without loading the store, or any command but the one that is used', async () => {
    const hooks = `
      import { registerHooks } from 'node:module'
      import { writeSync } from 'node:fs'
      registerHooks({ load: (url, context, next) => { writeSync(2, url + '\\n'); return next(url, context) } })`
    const file = join(directory, 'hooks.mjs')
    await writeFile(file, hooks)
    const { stderr } = await node('--import', file, main, 'push', '--help')
    const loaded = stderr.split('\n').filter((url) => url.includes('/src/') || url.includes('/node_modules/'))
    assert.ok(loaded.some((url) => url.endsWith('/src/cli/commands/push.ts')))
    assert.deepEqual(
      loaded.filter((url) => /\/src\/(store|registry|data-plane|adapters|http)\/|commands\/(?!push\.)|smol-toml|kysely|@bomb/.test(url)),
      [],
    )
  })

  test('ends quietly when the reader of its output is gone', async () => {
    const { stdout, stderr } = await run('sh', ['-c', '"$0" "$1" --help | head -c 5', process.execPath, main], { env: environment })
    assert.deepEqual([stdout, stderr], ['Usage', ''])
  })

  test('stops at the first signal; a source that goes on sending does not keep it', async () => {
    const child = start(['push', '-', '--repository', 'demo', '--run-id', 'r1'])
    const ended = once(child, 'exit')
    const told = errorText(child)
    const archive = pack()
    archive.entry({ name: 'endless', size: 2 ** 30 })
    for await (const header of archive) {
      child.stdin?.write(header)
      break
    }
    // More than a pipe holds: when it is gone, the program is storing.
    await new Promise((resolve) => child.stdin?.write(Buffer.alloc(2 ** 20), resolve))
    child.kill('SIGINT')
    assert.deepEqual(await ended, [6, null])
    assert.match(await told, /^Stopping .*\nartifact-store: stopped/)
  })

  test('is killed by a failpoint as by a crash, and the next command works', async () => {
    const child = start(['push', main, '--repository', 'demo/crash'], { ARTIFACT_STORE_FAILPOINT: 'appender.flush:before' })
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
    const { stdout } = await node(main, 'push', main, '--repository', 'demo/crash', '--quiet')
    const { stdout: text } = await node(main, 'cat', stdout.trim(), 'main.ts')
    assert.equal(text, await readFile(main, 'utf8'))
  })

  test('shows where an error arose only when asked', async () => {
    const told = await errorText(start(['show', 'demo:none']))
    assert.doesNotMatch(told, /\n\s+at /)
    assert.match(await errorText(start(['show', 'demo:none'], { ARTIFACT_STORE_DEBUG: '1' })), /\n\s+at /)
  })
})
