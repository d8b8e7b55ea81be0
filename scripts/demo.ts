/** The main job on real input, as a person would do it: every step is a command that anybody can type. */
import { spawnSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { compareTrees } from '../src/testing/compare-trees.ts'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'artifact-store-demo-'))
const rows: string[][] = []

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

function run(...args: string[]): void {
  console.log(styleText('bold', `\n$ artifact-store ${args.join(' ').replaceAll(`${folder}/`, '')}`))
  const { status } = spawnSync(join(root, 'bin/artifact-store'), [...args, '--store', join(folder, 'store')], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) throw new Error(`the command ended with ${status ?? 'a signal'}`)
}

function measure(tree: string): { files: number; bytes: number } {
  const files = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return { files: files.length, bytes: files.reduce((sum, { parentPath, name }) => sum + lstatSync(join(parentPath, name)).size, 0) }
}

async function roundTrip(tree: string, repository: string): Promise<void> {
  const amount = measure(join(root, tree))
  const pulled = join(folder, 'pulled', tree)
  await timed(`push ${tree}`, amount, () => run('push', tree, '--repository', repository, '--tag', 'latest'))
  await timed(`push ${tree}, unchanged`, amount, () => run('push', tree, '--repository', repository))
  await timed(`pull ${tree}`, amount, () => run('pull', `${repository}:latest`, '--output', pulled))
  await timed(`compare ${tree}`, amount, async () => {
    const differences = await compareTrees(join(root, tree), pulled)
    if (differences.length > 0) throw new Error(`${tree} did not come back as it was:\n${differences.join('\n')}`)
    console.log(styleText('green', `\nEvery byte, link and executable bit of ${tree} came back as it was.`))
  })
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
  rmSync(folder, { recursive: true })
}
