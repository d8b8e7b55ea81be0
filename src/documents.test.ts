/** What the Markdown files say is held against what there is: links, paths, targets of make, the examples, the table of work packages. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { after, describe, test } from 'node:test'
import { openMemoryBackend } from './adapters/backend-memory/backend-memory.ts'
import { createStore } from './store/open.ts'

const root = join(import.meta.dirname, '..')

interface Document {
  /** Relative to the repository, `/` between components. */
  readonly path: string
  readonly text: string
}

/** All Markdown files but those that are data of an example. */
const documents: readonly Document[] = globSync('**/*.md', {
  cwd: root,
  exclude: ['node_modules', 'build', 'dist', 'coverage', '.profile', '.scratch', 'examples/*/**'],
})
  .map((path) => path.replaceAll('\\', '/'))
  .toSorted()
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

function document(path: string): string {
  const found = documents.find((candidate) => candidate.path === path)
  assert.ok(found !== undefined, `${path} is not there`)
  return found.text
}

/** A text without its fenced blocks, whose contents are no Markdown. */
function prose(text: string): string {
  return text.replaceAll(/^(```+)[^\n]*\n[\s\S]*?^\1$/gm, '')
}

/** The contents of fenced blocks of a language, in order. */
function blocks(text: string, language: string): readonly string[] {
  return [...text.matchAll(/^```(\S*)[^\n]*\n([\s\S]*?)^```$/gm)].filter(([, name]) => name === language).map(([, , content = '']) => content)
}

/** Targets of links and images, inline and by reference; code is no link. */
function linkTargets(text: string): readonly string[] {
  const plain = prose(text).replaceAll(/`[^`\n]*`/g, 'code')
  const inline = [...plain.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)]
  const references = [...plain.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)]
  return [...inline, ...references].map(([, target = '']) => target)
}

/** The names by which headings can be linked to. */
function anchors(text: string): readonly string[] {
  return [...prose(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{Letter}\p{Number} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** Why a link leads nowhere, or undefined when it leads somewhere. Links to other sites are not followed. */
function brokenLink(from: Document, target: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return undefined
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? from.path : posix.normalize(posix.join(posix.dirname(from.path), decodeURIComponent(path)))
  const what = `${from.path}: ${target}`
  if (file.startsWith('../')) return `${what} leads out of the repository`
  if (!existsSync(join(root, file))) return `${what} leads nowhere`
  if (anchor === undefined) return undefined
  const known = statSync(join(root, file)).isFile() ? anchors(readFileSync(join(root, file), 'utf8')) : []
  return known.includes(anchor) ? undefined : `${what} names no heading`
}

/** Top-level names by which a path of this repository begins. */
const PLACES = /^(?:src|docs|bin|scripts|examples|changelog|bench|\.ci)\/|^(?:[A-Z]+\.md|Makefile|package\.json)$/

/** Paths in code spans. What has a wildcard must match something. */
function namedPaths(text: string): readonly string[] {
  const spans = [...prose(text).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)
  return spans.filter((span) => PLACES.test(span) && /^[\w./*-]+$/.test(span))
}

function isThere(path: string): boolean {
  return path.includes('*') ? globSync(path, { cwd: root }).length > 0 : existsSync(join(root, path))
}

/** Targets of make that a document tells people to use. */
function makeTargets(text: string): readonly string[] {
  return [...text.matchAll(/^make ([a-z][a-z-]*)|`make ([a-z][a-z-]*)/gm)].map(([, inBlock, inSpan]) => inBlock ?? inSpan ?? '')
}

const scratch = mkdtempSync(join(tmpdir(), 'artifact-store-documents-'))
// Inside the repository, so that the compiler finds the types of Node.
mkdirSync(join(root, '.scratch'), { recursive: true })
const compiled = mkdtempSync(join(root, '.scratch/documents-'))
after(() => {
  rmSync(scratch, { recursive: true, force: true })
  rmSync(compiled, { recursive: true, force: true })
})

function run(command: string, args: readonly string[], cwd: string): string {
  const path = `${join(root, 'bin')}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, PATH: path, XDG_CACHE_HOME: join(scratch, 'cache') },
  })
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

describe('the documents', () => {
  test('are found', () => {
    for (const path of ['README.md', 'ARCHITECTURE.md', 'docs/roadmap.md', 'docs/adr/README.md', 'docs/format/README.md']) document(path)
    assert.ok(documents.length >= 20, `only ${documents.length} documents found`)
  })

  test('link only to what is there', () => {
    const links = documents.flatMap((from) => linkTargets(from.text).map((target) => ({ from, target })))
    assert.ok(links.length >= 50, `only ${links.length} links found`)
    assert.deepEqual(
      links.flatMap(({ from, target }) => brokenLink(from, target) ?? []),
      [],
    )
  })

  test('name no file of this repository that does not exist', () => {
    const named = documents.flatMap(({ path, text }) => namedPaths(text).map((name) => ({ path, name })))
    assert.ok(named.length >= 50, `only ${named.length} paths found`)
    assert.deepEqual(
      named.filter(({ name }) => !isThere(name)).map(({ path, name }) => `${path} names ${name}`),
      [],
    )
  })

  test('ask for no target of make that does not exist', () => {
    const known = new Set([...readFileSync(join(root, 'Makefile'), 'utf8').matchAll(/^([a-z][a-z-]*):/gm)].map(([, target]) => target))
    const asked = documents.flatMap(({ path, text }) => makeTargets(text).map((target) => ({ path, target })))
    assert.ok(asked.some(({ target }) => target === 'demo') && asked.some(({ target }) => target === 'test'))
    assert.deepEqual(
      asked.filter(({ target }) => !known.has(target)).map(({ path, target }) => `${path} asks for make ${target}`),
      [],
    )
  })

  test('of decisions are numbered, titled as the index has them, and all in it', () => {
    const index = new Map(
      [...document('docs/adr/README.md').matchAll(/^\| \[(\d{4})\]\(([^)]+)\) \| (.+?) \|/gm)].map(([, , file = '', title = '']) => [file, title]),
    )
    const decisions = documents.filter(({ path }) => /^docs\/adr\/\d{4}-/.test(path))
    assert.deepEqual([...index.keys()].toSorted(), decisions.map(({ path }) => posix.basename(path)).toSorted())
    for (const { path, text } of decisions) {
      const file = posix.basename(path)
      assert.equal(/^# ADR-(\d{4}): (.+)$/m.exec(text)?.slice(1).join(' '), `${file.slice(0, 4)} ${index.get(file) ?? ''}`, path)
      for (const heading of ['Context', 'Decision', 'Consequences']) {
        assert.match(text, new RegExp(`^## ${heading}`, 'm'), path)
      }
    }
  })
})

describe('the README', () => {
  const readme = document('README.md')

  test('lists the eighteen work packages in order, each with what it brings and its state', () => {
    const rows = [...readme.matchAll(/^\| (WP-\d{4}) \| (.+) \| (.+) \|$/gm)]
    assert.deepEqual(
      rows.map(([, name = '']) => name),
      Array.from({ length: 18 }, (_, index) => `WP-${String(index + 1).padStart(4, '0')}`),
    )
    for (const [, name = '', what = '', state = ''] of rows) {
      assert.ok(what.length > 5, name)
      assert.match(state, /^(?:done|in progress|planned)(?:[:;] .+)?$/, name)
    }
  })

  test('mentions every work package that the roadmap mentions, and the other way round', () => {
    const named = (text: string): readonly string[] => [...new Set(text.match(/WP-\d{4}/g))].toSorted()
    assert.deepEqual(named(readme), named(document('docs/roadmap.md')))
  })

  test('has commands that do what it says, in the order in which they stand', () => {
    const session = blocks(readme, 'sh').filter((block) => !block.startsWith('make '))
    assert.equal(session.length, 1)
    run('bash', ['-eu', '-c', session.join('\n')], scratch)
  })

  test('has an example of the library that compiles, runs, and prints what it says', () => {
    const [example = '', ...others] = blocks(readme, 'ts')
    assert.deepEqual(others, [])
    const [printed = ''] = blocks(readme, 'text')
    const entry = posix.join('../..', 'src/artifact-store.ts')
    const source = example.replace(`from 'artifact-store'`, `from '${entry}'`)
    assert.notEqual(source, example)
    writeFileSync(join(compiled, 'example.ts'), `${source}\nexport {}\n`)
    const options = {
      extends: '../../tsconfig.json',
      compilerOptions: { rootDir: '../..', isolatedDeclarations: false, declaration: false },
      include: ['example.ts'],
    }
    writeFileSync(join(compiled, 'tsconfig.json'), JSON.stringify(options))
    run(join(root, 'node_modules/.bin/tsc'), ['--noEmit', '-p', compiled], root)
    assert.equal(run(process.execPath, [join(compiled, 'example.ts')], mkdtempSync(join(scratch, 'example-'))), printed)
  })
})

test('the keys of a store are those that the formats say', async () => {
  const backend = openMemoryBackend()
  const store = await createStore(join(scratch, 'keys'), { backend })
  const draft = await store.packages.open({ repository: 'demo' })
  await draft.put('file', Buffer.from('content'))
  await draft.finalize()
  const { id } = store
  // Closing the store writes what is still to be mirrored; the backend goes with it, so its keys are noted on the way.
  const keys: string[] = []
  const close = backend.close.bind(backend)
  backend.close = async () => {
    for await (const { key } of backend.list('')) keys.push(key.replace(id, '<store id>'))
    await close()
  }
  await store.close()
  const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
  const shapes = [
    /^<store id>\/marker$/,
    new RegExp(`^<store id>/log/${uuid}/000000000001-000000000003-${uuid}$`),
    new RegExp(`^<store id>/${uuid}/${uuid}$`),
  ]
  for (const shape of shapes) assert.equal(keys.filter((key) => shape.test(key)).length, 1, keys.join('\n'))
  assert.equal(keys.length, shapes.length, keys.join('\n'))
})

describe('the checks find', () => {
  const from = { path: 'docs/adr/README.md', text: '' }

  test('a link that leads nowhere, out, or to no heading', () => {
    const text = '[a](0001-gone.md) [b](../../../else.md) [c](../../README.md#no-such) ![d](none.png "title")\n\n[e]: gone.md\n'
    assert.equal(linkTargets(text).filter((target) => brokenLink(from, target) !== undefined).length, 5)
  })

  test('nothing wrong with links that are right, or are none', () => {
    const text = '[a](../errors.md) [b](https://example.org/x) [c](../../README.md#work-packages) `[d](gone.md)`\n```md\n[e](gone.md)\n```\n'
    assert.deepEqual(
      linkTargets(text).flatMap((target) => brokenLink(from, target) ?? []),
      [],
    )
  })

  test('paths in code spans, but no other code', () => {
    const spans = namedPaths('`src/core/gone.ts` `docs/*.none` `<store id>/log` `make test` `GONE.md` `src/{a}`\n```\n`src/other.ts`\n```\n')
    assert.deepEqual(spans, ['src/core/gone.ts', 'docs/*.none', 'GONE.md'])
    assert.ok(spans.every((path) => !isThere(path)))
  })
})
