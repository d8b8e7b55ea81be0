import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const bin = fileURLToPath(new URL('../../bin', import.meta.url))
const run = promisify(execFile)

/** Runs all commands of a guide as they are written, in its order. */
async function follow(name: string): Promise<{ readonly blocks: number; readonly stdout: string; readonly stderr: string }> {
  const guide = await readFile(new URL(`../../docs/guides/${name}`, import.meta.url), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n([^`]*)```$/gm)].map(([, commands = '']) => commands)
  const directory = await mkdtemp(join(tmpdir(), 'guide-'))
  try {
    const kept = Object.entries(process.env).filter(([variable]) => !variable.startsWith('ARTIFACT_STORE_') && !variable.startsWith('XDG_'))
    const environment = { ...Object.fromEntries(kept), HOME: directory, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` }
    const output = await run('sh', ['-eu', '-c', blocks.join('\n')], { cwd: directory, env: environment, timeout: 120_000 })
    return { ...output, blocks: blocks.length }
  } finally {
    await rm(directory, { recursive: true })
  }
}

test('every command of the guide works, in the order of the guide', async () => {
  const { blocks, stdout, stderr } = await follow('cli.md')
  assert.ok(blocks >= 8)
  assert.match(stdout, /reusedExisting {2}true/)
  assert.match(stdout, /\{"tests": 12, "failed": 0\}\nallWrote 2 files/)
  assert.equal(stderr, '')
})

test('every command of the guide to trouble does what the guide says', async () => {
  const { blocks, stdout, stderr } = await follow('trouble.md')
  assert.ok(blocks >= 9)
  const endings = [...stdout.matchAll(/^(\w+) ended with (\d)$/gm)].map(([, command, code]) => `${command ?? ''} ${code ?? ''}`)
  assert.deepEqual(endings, ['doctor 5', 'ls 3', 'doctor 5', 'cat 5', 'verify 5', 'doctor 5', 'push 1', 'doctor 5'])
  assert.match(stdout, /FAIL {2}store +the objects of a store are in .*, but its registry\s+is not/)
  assert.match(stdout, /Complete up to event \d+, .*\nNothing is missing\.\n/)
  assert.match(stdout, /trace\.bin {2}sha256:[0-9a-f]{64} is damaged: (.*\n){2}Read 4 files \(5\.7 MiB\): 2 problems found\n/)
  assert.match(stdout, /reusedExisting {2}true .*\nRead 4 files \(5\.7 MiB\): all of it is what it was\nWARN {2}damage/)
  assert.match(stdout, /demo\/later :v1\n/)
  assert.match(stderr, /the registry is not the one the object store knows/)
})
