import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin', import.meta.url))
/** Longer than any guide takes. */
const LIMIT_MS = 120_000

/** What came of following a guide. */
export interface FollowedGuide {
  readonly blocks: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs all commands of a guide as they are written, in its order, in an empty folder and with an environment that knows of no store.
 * @param name file in docs/guides/
 */
export async function followGuide(name: string, variables: Readonly<Record<string, string>> = {}): Promise<FollowedGuide> {
  const guide = await readFile(new URL(`../../docs/guides/${name}`, import.meta.url), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n([^`]*)```$/gm)].map(([, commands = '']) => commands)
  const directory = await mkdtemp(join(tmpdir(), 'guide-'))
  try {
    const kept = Object.entries(process.env).filter(([variable]) => !variable.startsWith('ARTIFACT_STORE_') && !variable.startsWith('XDG_'))
    const path = `${bin}${delimiter}${process.env['PATH'] ?? ''}`
    const environment = { ...Object.fromEntries(kept), HOME: directory, PATH: path, ...variables }
    return { ...(await run(blocks.join('\n'), directory, environment)), blocks: blocks.length }
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Runs a script in a group of processes of its own, so that nothing it started outlives it. */
async function run(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const shell = spawn('sh', ['-eu', '-c', script], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = (): boolean => shell.pid !== undefined && process.kill(-shell.pid, 'SIGKILL')
  const timer = setTimeout(kill, LIMIT_MS)
  const output = Promise.all([text(shell.stdout), text(shell.stderr)])
  const exit: readonly unknown[] = await once(shell, 'exit')
  clearTimeout(timer)
  try {
    kill()
  } catch {
    // The group is gone, as it should be.
  }
  const [stdout, stderr] = await output
  assert.equal(exit[0], 0, `the guide failed:\n${stdout}\n${stderr}`)
  return { stdout, stderr }
}
