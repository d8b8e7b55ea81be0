/**
 * The house rules, held against every source file: who may import whom, which packages live where, how files are named and how long they may be.
 * Each rule is also shown a file that breaks it, so that none passes because it looks at nothing.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { describe, test } from 'node:test'
import { type Program, parseSync } from 'oxc-parser'

const root = new URL('..', import.meta.url)

/** Folders of src/ and the folders whose files they may import. Files directly in src/ are the folder ''. A folder may always import itself. */
const folders: Readonly<Record<string, readonly string[]>> = {
  core: [],
  ports: ['core'],
  registry: ['core', 'ports'],
  'data-plane': ['core', 'ports'],
  adapters: ['core', 'ports'],
  decorators: ['core', 'ports'],
  store: ['core', 'ports', 'registry', 'data-plane'],
  http: ['core', 'store', ''],
  client: ['core'],
  producers: ['core', 'ports', 'store'],
  cli: ['core', 'store', 'http', 'client', ''],
  testing: ['core', 'ports', 'registry', 'data-plane', 'adapters', 'decorators', 'store', 'http', 'client', ''],
  '': ['core', 'ports', 'registry', 'data-plane', 'adapters', 'decorators', 'store'],
}

/** The few places that choose implementations of ports, and what else they may use for that. */
const composers: Readonly<Record<string, readonly string[]>> = {
  'src/store/open.ts': ['adapters', 'decorators'],
  'src/store/open-context.ts': ['adapters', 'decorators'],
  'src/store/doctor.ts': ['adapters', 'decorators'],
  'src/store/recover.ts': ['adapters', 'decorators'],
  'src/cli/cli.ts': ['decorators'],
  'src/cli/delivery-targets.ts': ['adapters', 'producers'],
  'src/cli/redaction-file.ts': ['adapters'],
  'src/cli/commands/guide-board.ts': ['adapters', 'ports', 'producers'],
}

/** Whose types alone a folder may use: the façade that a client implements, and what goes over the wire. */
const typesOf: Readonly<Record<string, readonly string[]>> = { client: ['store', 'http'] }

/** What a test beside the code may use besides what its folder may. */
const folderOfTests = ['testing', 'adapters', 'decorators', 'data-plane', 'ports', 'store', 'http', 'client']

/** Packages of npm and the folders that may use them. One that is not listed may be used nowhere. */
const packages: Readonly<Record<string, readonly string[]>> = {
  kysely: ['registry'],
  canonicalize: ['core'],
  fastify: ['http'],
  '@fastify/swagger': ['http'],
  '@fastify/swagger-ui': ['http'],
  '@fastify/type-provider-typebox': ['http'],
  typebox: ['http'],
  'prom-client': ['http'],
  ajv: ['http', 'store'],
  'ajv-formats': ['http', 'store'],
  'tar-stream': ['cli', 'store'],
  'smol-toml': ['cli'],
  commander: ['cli'],
  '@bomb.sh/tab': ['cli'],
}

/** Packages for tests and for the suites that users run on their own adapters. */
const packagesOfTests = ['fast-check', 'oxc-parser', 'tar-stream', 'tus-js-client', 'rolldown']

/** Node's modules that some folders must do without. `undefined` means: all are allowed. */
const builtinsOf: Readonly<Record<string, readonly string[] | undefined>> = {
  core: ['node:crypto', 'node:buffer'],
  ports: [],
}

const sqliteDriver = 'src/registry/sqlite-driver.ts'
/** A stand-in for a service that is not ours, with a database of its own. */
const standIn = 'src/testing/state-hub.ts'
const forbiddenNames = ['utils', 'util', 'helpers', 'helper', 'common', 'misc', 'types', 'index', 'shared', 'lib']
const longest = 400

interface SourceFile {
  /** Relative to the repository, `/` between components. */
  readonly path: string
  readonly text: string
}

interface Import {
  /** The module as written; undefined when it is computed at run time. */
  readonly from: string | undefined
  readonly typeOnly: boolean
}

const isTest = (path: string): boolean => path.endsWith('.test.ts')
const folderOf = (path: string): string => (path.split('/').length > 2 ? (path.split('/')[1] ?? '') : '')

function isNode(value: unknown): value is { readonly type: string } & Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function parse(file: SourceFile): Program {
  const { program, errors } = parseSync(file.path, file.text)
  assert.deepEqual(errors, [], `${file.path} does not parse`)
  return program
}

/** Every way in which a module can name another one: import, export from, import(), import('…') types, import x = require(). */
function importsOf(file: SourceFile): readonly Import[] {
  const found: Import[] = []
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit)
    if (!isNode(value)) return
    const source = value.type === 'TSExternalModuleReference' ? value['expression'] : value['source']
    const names = /^(Import(Declaration|Expression)|Export(All|Named)Declaration|TSImportType|TSExternalModuleReference)$/.test(value.type)
    if (names && source !== null) {
      const from = isNode(source) && typeof source['value'] === 'string' ? source['value'] : undefined
      const kind = value['importKind'] ?? value['exportKind']
      found.push({ from, typeOnly: kind === 'type' || value.type === 'TSImportType' })
    }
    Object.values(value).forEach(visit)
  }
  visit(parse(file))
  return found
}

const packageOf = (from: string): string =>
  from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')

/** Why a file may not import this, or undefined when it may. */
function refusal(file: SourceFile, { from, typeOnly }: Import): string | undefined {
  const folder = folderOf(file.path)
  if (from === undefined) return 'imports a module whose name is computed'
  if (from.startsWith('.')) {
    if (!from.endsWith('.ts')) return `imports ${from} without its extension .ts`
    const target = posix.join(posix.dirname(file.path), from)
    if (!target.startsWith('src/')) return isTest(file.path) ? undefined : `imports ${from}, which lies outside src/`
    if (isTest(target)) return `imports the test ${from}`
    const to = folderOf(target)
    const mayUse = [
      folder,
      ...(folders[folder] ?? []),
      ...(typeOnly ? (typesOf[folder] ?? []) : []),
      ...(composers[file.path] ?? []),
      ...(isTest(file.path) ? folderOfTests : []),
    ]
    if (!mayUse.includes(to)) return `imports ${target}: ${folder || 'src'} may not use ${to || 'src'}`
    if (folder === 'adapters' && to === 'adapters' && !isTest(file.path) && target.split('/')[2] !== file.path.split('/')[2]) {
      return `imports ${target}: an adapter may not use another one`
    }
    return undefined
  }
  if (isBuiltin(from)) {
    if (!from.startsWith('node:')) return `imports ${from} without node:`
    if (from === 'node:sqlite' && file.path !== sqliteDriver && file.path !== standIn) return `imports node:sqlite: only ${sqliteDriver} may`
    const allowed = builtinsOf[folder]
    if (allowed !== undefined && !allowed.includes(from) && !isTest(file.path)) return `imports ${from}: ${folder} may not`
    if (from === 'node:test' && folder !== 'testing' && !isTest(file.path)) return 'imports node:test outside a test'
    return undefined
  }
  const name = packageOf(from)
  if (packagesOfTests.includes(name) && (isTest(file.path) || folder === 'testing')) return undefined
  if (packages[name]?.includes(folder) === true) return undefined
  return `imports ${name}: ${folder || 'src'} may not`
}

function forbiddenImports(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) =>
    importsOf(file).flatMap((found) => {
      const reason = refusal(file, found)
      return reason === undefined ? [] : [`${file.path} ${reason}`]
    }),
  )
}

/** Groups of files that need each other to load, each as the path walked. Imports of types alone are no cycle: nothing is left of them at run time. */
function cycles(files: readonly SourceFile[]): readonly string[] {
  const graph = new Map(
    files.map((file) => [
      file.path,
      importsOf(file).flatMap(({ from, typeOnly }) =>
        !typeOnly && from?.startsWith('.') === true ? [posix.join(posix.dirname(file.path), from)] : [],
      ),
    ]),
  )
  const found: string[] = []
  const done = new Set<string>()
  const walk = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
    if (trail.includes(path) || done.has(path)) return
    for (const next of graph.get(path) ?? []) walk(next, [...trail, path])
    done.add(path)
  }
  for (const path of graph.keys()) walk(path, [])
  return found
}

function badNames(paths: readonly string[]): readonly string[] {
  return paths.filter((path) =>
    path
      .replace(/\.ts$/, '')
      .split('/')
      .slice(1)
      .some((part) => forbiddenNames.includes(part) || !/^[a-z0-9]+([-.][a-z0-9]+)*$/.test(part)),
  )
}

function tooLong(files: readonly SourceFile[]): readonly string[] {
  return files
    .filter((file) => !isTest(file.path))
    .map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > longest)
    .map(({ path, lines }) => `${path} has ${String(lines)} lines`)
}

/** Exported declarations with no docstring right before them. Of overloads, the first one has it. */
function undocumented(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => {
    if (isTest(file.path)) return []
    const { program, comments } = parseSync(file.path, file.text)
    const documented = new Set(
      comments
        .filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
        .map(({ end }) => end + (/^\s*/.exec(file.text.slice(end))?.[0].length ?? 0)),
    )
    const heads = program.body
      .filter((node) => node.type === 'ExportNamedDeclaration' && node.declaration !== null)
      .map((node) => ({
        start: node.start,
        head:
          file.text
            .slice(node.start)
            .split(/[\n({=:<]/)[0]
            ?.trimEnd() ?? '',
      }))
    return heads
      .filter(({ start, head }, index) => !documented.has(start) && heads[index - 1]?.head !== head)
      .map(({ head }) => `${file.path}: ${head}`)
  })
}

/** Casts other than `as const` without a comment `Sound: …`, in the few lines above, that says why they cannot be wrong. */
function unexplainedCasts(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => {
    if (isTest(file.path)) return []
    const lines = file.text.split('\n')
    const found: string[] = []
    const visit = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(visit)
      if (!isNode(value)) return
      if ((value.type === 'TSAsExpression' && !isConst(value['typeAnnotation'])) || value.type === 'TSTypeAssertion') {
        const line = file.text.slice(0, Number(value['start'])).split('\n').length
        if (!lines.slice(Math.max(0, line - 5), line).some((text) => /\/\/ Sound: |\* Sound: /.test(text))) found.push(`${file.path}:${line}`)
      }
      Object.values(value).forEach(visit)
    }
    visit(parse(file))
    return found
  })
}

function isConst(annotation: unknown): boolean {
  return isNode(annotation) && isNode(annotation['typeName']) && annotation['typeName']['name'] === 'const'
}

const sources: readonly SourceFile[] = globSync('src/**/*.ts', { cwd: root })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => !path.includes('/fixtures/'))
  .toSorted()
  .map((path) => ({ path, text: readFileSync(new URL(path, root), 'utf8') }))

const example = (path: string, text: string): readonly SourceFile[] => [{ path, text }]

describe('the sources', () => {
  test('are found, in every folder that the rules know', () => {
    assert.ok(sources.length >= 150, `only ${String(sources.length)} files found`)
    const seen = new Set(sources.map(({ path }) => folderOf(path)))
    assert.deepEqual(
      [...seen].toSorted(),
      Object.keys(folders)
        .filter((folder) => seen.has(folder))
        .toSorted(),
      'a folder has no rules',
    )
    for (const folder of ['core', 'ports', 'registry', 'store', 'data-plane', 'adapters', 'cli', 'testing']) assert.ok(seen.has(folder), folder)
    assert.ok(sources.reduce((sum, file) => sum + importsOf(file).length, 0) >= 600, 'hardly any import was recognised')
  })

  test('import only what their folder may', () => {
    assert.deepEqual(forbiddenImports(sources), [])
  })

  test('do not need each other in a circle', () => {
    assert.deepEqual(cycles(sources), [])
  })

  test('have names that say what is inside', () => {
    assert.deepEqual(badNames(sources.map(({ path }) => path)), [])
  })

  test('are short enough to be read in one go', () => {
    const others = globSync('{scripts,bench,producers}/**/*.ts', { cwd: root }).map((path) => ({
      path,
      text: readFileSync(new URL(path, root), 'utf8'),
    }))
    assert.deepEqual(tooLong([...sources, ...others]), [])
  })

  test('document everything they export', () => {
    assert.deepEqual(undocumented(sources), [])
  })

  test('explain every cast', () => {
    assert.deepEqual(unexplainedCasts(sources), [])
  })

  test('keep the SQLite driver in one file', () => {
    const users = sources.filter((file) => importsOf(file).some(({ from }) => from === 'node:sqlite')).map(({ path }) => path)
    assert.deepEqual(users, [sqliteDriver, standIn])
  })
})

describe('the rules find', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['core that does I/O', 'src/core/a.ts', `import { open } from 'node:fs/promises'`],
    ['core that knows a port', 'src/core/a.ts', `import type { Backend } from '../ports/backend.ts'`],
    ['a port that knows an adapter', 'src/ports/a.ts', `export * from '../adapters/backend-memory/memory-backend.ts'`],
    ['a registry that calls the store', 'src/registry/a.ts', `import { a } from '../store/a.ts'`],
    ['an adapter that reads the registry', 'src/adapters/x/a.ts', `const a = await import('../../registry/a.ts')`],
    ['an adapter that uses another', 'src/adapters/x/a.ts', `import { a } from '../y/a.ts'`],
    ['a command that writes SQL', 'src/cli/a.ts', `import { sql } from 'kysely'`],
    ['a type from a forbidden folder', 'src/data-plane/a.ts', `export type A = import('../store/a.ts').A`],
    ['a second SQLite driver', 'src/registry/other.ts', `import { DatabaseSync } from 'node:sqlite'`],
    ['an SDK outside an adapter', 'src/store/a.ts', `import { S3Client } from '@aws-sdk/client-s3/dist'`],
    ['a builtin without its prefix', 'src/store/a.ts', `import { join } from 'path'`],
    ['a test library in a product file', 'src/store/a.ts', `import fc from 'fast-check'`],
    ['a computed import', 'src/store/a.ts', `const a = await import(process.argv[2] ?? '')`],
    ['a test that is imported', 'src/store/a.ts', `import './b.test.ts'`],
    ['an import without extension', 'src/store/a.ts', `import { b } from './b'`],
    ['a folder without rules', 'src/attic/a.ts', `import { a } from '../core/a.ts'`],
  ]
  for (const [what, path, text] of refused) {
    test(what, () => assert.equal(forbiddenImports(example(path, text)).length, 1))
  }

  test('nothing wrong with what is allowed', () => {
    assert.deepEqual(
      forbiddenImports(example('src/store/a.ts', `import type { A } from '../registry/a.ts'\nimport { readFile } from 'node:fs/promises'`)),
      [],
    )
    assert.deepEqual(forbiddenImports(example('src/core/a.test.ts', `import fc from 'fast-check'\nimport { test } from 'node:test'`)), [])
  })

  test('a circle of files, but not one of types', () => {
    const circle = (kind: string): readonly SourceFile[] => [
      { path: 'src/core/a.ts', text: `import { b } from './b.ts'` },
      { path: 'src/core/b.ts', text: `export { c } from './c.ts'` },
      { path: 'src/core/c.ts', text: `import ${kind} { a } from './a.ts'` },
    ]
    assert.deepEqual(cycles(circle('')), ['src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts'])
    assert.deepEqual(cycles(circle('type')), [])
  })

  test('names that hide what is inside', () => {
    assert.deepEqual(badNames(['src/core/utils.ts', 'src/common/a.ts', 'src/store/index.ts', 'src/core/camelCase.ts', 'src/core/a-b.test.ts']), [
      'src/core/utils.ts',
      'src/common/a.ts',
      'src/store/index.ts',
      'src/core/camelCase.ts',
    ])
  })

  test('a file that is too long', () => {
    assert.deepEqual(tooLong(example('src/core/a.ts', '\n'.repeat(401))), ['src/core/a.ts has 401 lines'])
  })

  test('a cast that nobody vouches for', () => {
    const text = `const a = b as string\n\n\n\n\n// Sound: b was parsed.\nconst c = b as string\nconst d = [1] as const`
    assert.deepEqual(unexplainedCasts(example('src/store/a.ts', text)), ['src/store/a.ts:1'])
  })

  test('an export without a docstring', () => {
    assert.deepEqual(
      undocumented(
        example(
          'src/core/a.ts',
          '/** Why. */\nexport const a = 1\n// not this\nexport function b(): void {}\nexport function b(c?: string): void {}',
        ),
      ),
      ['src/core/a.ts: export function b'],
    )
  })
})
