/** The main job on real input, as a person would do it: every step is a command that anybody can type. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { compareTrees } from '../src/testing/compare-trees.ts'
import { startStateHub } from '../src/testing/state-hub.ts'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'artifact-store-demo-'))
const rows: string[][] = []
const hub = await startStateHub(join(folder, 'state-hub.db'))

/** Runs a step and notes how long it took, and for how much. */
async function timed(
  what: string,
  amount: { readonly files: number; readonly bytes: number } | undefined,
  step: () => Promise<void> | void,
): Promise<void> {
  const start = performance.now()
  await step()
  const seconds = (performance.now() - start) / 1000
  const mebibytes = (amount?.bytes ?? 0) / 1024 ** 2
  const much = amount === undefined ? ['', '', ''] : [String(amount.files), mebibytes.toFixed(1), (mebibytes / seconds).toFixed(0)]
  rows.push([what, seconds.toFixed(2), ...much])
}

async function run(...args: string[]): Promise<void> {
  console.log(styleText('bold', `\n$ artifact-store ${args.join(' ').replaceAll(`${folder}/`, '')}`))
  const command = spawn(join(root, 'bin/artifact-store'), [...args, '--store', join(folder, 'store')], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, STATE_HUB_URL: hub.url },
  })
  await once(command, 'exit')
  if (command.exitCode !== 0) throw new Error(`the command ended with ${command.exitCode ?? 'a signal'}`)
}

function measure(tree: string): { files: number; bytes: number } {
  const files = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return { files: files.length, bytes: files.reduce((sum, { parentPath, name }) => sum + lstatSync(join(parentPath, name)).size, 0) }
}

/** A run of a conformance kit, as its producer hands it over: in, told of, checked, explained, out again. */
async function conformanceRun(): Promise<void> {
  const tree = 'examples/guide-board/cmis-tck-run'
  const amount = measure(join(root, tree))
  await timed('ingest a run', amount, () =>
    run('guide-board', 'ingest', tree, '--repository', 'boards/cmis', '--tag', 'latest', '--workstream', 'certification'),
  )
  console.log(styleText('bold', '\nWhat State Hub was told:'))
  const links = hub.effective()
  for (const link of links) console.log(JSON.stringify(link, undefined, 2))
  if (links.length !== 1) throw new Error(`State Hub was told of ${links.length} runs`)
  await timed('ingest it again', amount, () => run('guide-board', 'ingest', tree, '--repository', 'boards/cmis', '--tag', 'latest'))
  if (hub.entries().length !== 1) throw new Error('State Hub was told twice')
  await timed('verify', amount, () => run('verify', 'boards/cmis:latest'))
  await timed('retention explain', undefined, () => run('retention', 'explain', 'boards/cmis:latest'))
  await timed('pull the run', amount, () => run('pull', 'boards/cmis:latest', '--output', join(folder, 'run')))
  await timed('compare the run', amount, () => compare(tree, join(folder, 'run')))
}

async function compare(tree: string, pulled: string): Promise<void> {
  const differences = await compareTrees(join(root, tree), pulled)
  if (differences.length > 0) throw new Error(`${tree} did not come back as it was:\n${differences.join('\n')}`)
  console.log(styleText('green', `\nEvery byte, link and executable bit of ${tree} came back as it was.`))
}

async function roundTrip(tree: string, repository: string): Promise<void> {
  const amount = measure(join(root, tree))
  const pulled = join(folder, 'pulled', tree)
  await timed(`push ${tree}`, amount, () => run('push', tree, '--repository', repository, '--tag', 'latest'))
  await timed(`push ${tree}, unchanged`, amount, () => run('push', tree, '--repository', repository))
  await timed(`pull ${tree}`, amount, () => run('pull', `${repository}:latest`, '--output', pulled))
  await timed(`compare ${tree}`, amount, () => compare(tree, pulled))
}

function printTable(): void {
  const lines = [['step', 'seconds', 'files', 'MiB', 'MiB/s'], ...rows]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  console.log()
  for (const line of lines)
    console.log(line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '))
}

try {
  await timed('init', undefined, () => run('init'))
  await conformanceRun()
  await roundTrip('examples', 'demo/examples')
  await roundTrip('node_modules', 'demo/node-modules')
  await timed('ls', undefined, () => run('ls'))
  await timed('show', undefined, () => run('show', 'demo/examples:latest'))
  await timed('verify --all', undefined, () => run('verify', '--all'))
  await timed('events', undefined, () => run('events'))
  await timed('events verify', undefined, () => run('events', 'verify'))
  printTable()
  const [kept, given] = [measure(join(folder, 'store')).bytes, measure(join(root, 'examples')).bytes + measure(join(root, 'node_modules')).bytes]
  console.log(`\nThe store takes ${(kept / 1024 ** 2).toFixed(0)} MiB for ${(given / 1024 ** 2).toFixed(0)} MiB of files.`)
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  await hub.stop()
  rmSync(folder, { recursive: true })
}
