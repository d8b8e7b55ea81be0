import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const repository = join(import.meta.dirname, '..')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'artifact-store launcher ')))
after(() => rmSync(folder, { recursive: true }))

/** Prints what the launcher handed over, and ends with 7. */
const program = `
const { MALLOC_TRIM_THRESHOLD_: trim, MALLOC_MMAP_THRESHOLD_: mmap, NODE_COMPILE_CACHE: cache } = process.env
console.log([process.version, process.argv[1], process.cwd(), trim, mmap, cache ?? 'none', process.execArgv, ...process.argv.slice(2)].join('|'))
process.exitCode = 7
`

/** A project with the real launcher and Node, and a command line that only tells how it was called. */
function createProject(name: string, main: string): string {
  const project = join(folder, name)
  mkdirSync(join(project, 'bin'), { recursive: true })
  mkdirSync(join(project, main, '..'), { recursive: true })
  copyFileSync(join(repository, 'bin/artifact-store'), join(project, 'bin/artifact-store'))
  chmodSync(join(project, 'bin/artifact-store'), 0o755)
  writeFileSync(join(project, 'package.json'), '{"type":"module"}')
  writeFileSync(join(project, main), program)
  symlinkSync(join(repository, 'node_modules'), join(project, 'node_modules'))
  return project
}

function launch(command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8', env: { HOME: folder, ...environment } })
  const [version, main, cwd, trim, mmap, cache, flags, ...rest] = stdout.trimEnd().split('|')
  return { status, stderr, version, main, cwd, trim, mmap, cache, flags, rest }
}

describe('the launcher', () => {
  const project = createProject('a project', 'src/cli/main.ts')
  const launcher = join(project, 'bin/artifact-store')

  test('runs the command line from source on the pinned Node, with its arguments, working folder and exit code', () => {
    const { status, version, main, cwd, rest } = launch(launcher, ['push', 'two words', '', '*'])
    assert.deepEqual(
      { status, version, main, cwd, rest },
      {
        status: 7,
        version: process.version,
        main: join(project, 'src/cli/main.ts'),
        cwd: folder,
        rest: ['push', 'two words', '', '*'],
      },
    )
  })

  test('is found through chains of relative and absolute links, and through PATH', () => {
    mkdirSync(join(folder, 'links/deep'), { recursive: true })
    symlinkSync('../a project/bin/artifact-store', join(folder, 'links/relative'))
    symlinkSync('../relative', join(folder, 'links/deep/again'))
    symlinkSync(join(folder, 'links/deep/again'), join(folder, 'artifact-store'))
    for (const command of ['links/relative', 'links/deep/again', './artifact-store']) assert.equal(launch(command, []).status, 7, command)
    assert.equal(launch('sh', ['-c', 'artifact-store'], { PATH: `${folder}:/usr/bin:/bin` }).status, 7)
  })

  test('keeps the heap of glibc from shrinking: both settings, as one alone does harm', () => {
    const { trim, mmap } = launch(launcher, [])
    assert.deepEqual({ trim, mmap }, { trim: '1073741824', mmap: '33554432' })
  })

  test('leaves little room for young objects, and a server somewhat more', () => {
    assert.equal(launch(launcher, []).flags, '--max-semi-space-size=2')
    assert.equal(launch(launcher, ['serve']).flags, '--max-semi-space-size=8')
  })

  test('keeps compiled code only in a folder of its user, and does without it where there is none', () => {
    assert.equal(launch(launcher, []).cache, join(folder, '.cache/artifact-store/compiled'))
    assert.equal(launch(launcher, [], { XDG_CACHE_HOME: join(folder, 'cache') }).cache, join(folder, 'cache/artifact-store/compiled'))
    assert.equal(launch(launcher, [], { NODE_COMPILE_CACHE: join(folder, 'mine') }).cache, join(folder, 'mine'))
    assert.deepEqual(launch(launcher, [], { HOME: join(folder, 'no such home') }).cache, 'none')
    const { status, stderr } = launch(launcher, [], { XDG_CACHE_HOME: join(launcher, 'below a file') })
    assert.deepEqual({ status, stderr }, { status: 7, stderr: '' })
  })

  test('runs the built program where there is no source', () => {
    const built = createProject('built', 'dist/cli/main.js')
    assert.equal(launch(join(built, 'bin/artifact-store'), []).main, join(built, 'dist/cli/main.js'))
  })

  test('finds Node beside the package where it is a dependency of another', () => {
    const dependency = createProject('node_modules/artifact-store', 'dist/cli/main.js')
    rmSync(join(dependency, 'node_modules'))
    const packages = join(folder, 'node_modules')
    symlinkSync(join(process.execPath, '../..'), join(packages, 'node-pinned'))
    assert.equal(launch(join(dependency, 'bin/artifact-store'), []).version, process.version)
  })

  test('says what to do when nothing is installed yet', () => {
    const bare = createProject('bare', 'src/cli/main.ts')
    renameSync(join(bare, 'node_modules'), join(bare, 'elsewhere'))
    const { status, stderr } = launch(join(bare, 'bin/artifact-store'), [])
    assert.equal(status, 1)
    assert.match(stderr, /^artifact-store: its Node is not installed yet\. Run 'npm ci' in .*bare/)
  })
})
