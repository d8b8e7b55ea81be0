import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { makeAwkwardTree } from '../testing/awkward-tree.ts'
import { compareTrees } from '../testing/compare-trees.ts'
import { serviceTest } from '../testing/service-test.ts'
import { createStore } from './open.ts'
import { pushTree } from './push-tree.ts'

const LIMIT_MS = 60_000

function run(command: string, ...parameters: readonly string[]): string {
  return execFileSync(command, parameters, {
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: 1 << 26,
    env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  })
}

/** Extracts what Python finds, with modes and links, which its own `extractall` of zip archives leaves out. */
const PYTHON_UNZIP = `
import os, stat, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    for info in archive.infolist():
        mode = info.external_attr >> 16
        place = os.path.join(sys.argv[2], info.filename)
        os.makedirs(place if info.is_dir() else os.path.dirname(place), exist_ok=True)
        if info.is_dir(): continue
        if stat.S_ISLNK(mode):
            os.symlink(archive.read(info), os.fsencode(place))
            continue
        with open(place, 'wb') as file: file.write(archive.read(info))
        os.chmod(place, stat.S_IMODE(mode))
`
const PYTHON_UNTAR = `
import sys, tarfile
with tarfile.open(sys.argv[1]) as archive: archive.extractall(sys.argv[2])
`

serviceTest('GNU tar, bsdtar, Info-ZIP and Python make of an archive the tree that it was made of', ['archivers'], async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'archivers-'))
  t.after(() => rmSync(scratch, { recursive: true, force: true }))
  const tree = join(scratch, 'tree')
  mkdirSync(tree)
  makeAwkwardTree(tree)
  // No program agrees with another one on what this name is in a zip archive.
  rmSync(join(tree, 'tab\tand\\backslash "quoted" \u0001'))
  writeFileSync(join(tree, 'large'), createHash('shake256', { outputLength: 7_654_321 }).update('large').digest())
  const store = await createStore(join(scratch, 'store'))
  try {
    const draft = await store.packages.open({ repository: 'default/tree' })
    await pushTree(draft, tree)
    const { id } = await draft.finalize()
    const places = { tar: join(scratch, 'a.tar'), 'tar.zst': join(scratch, 'a.tar.zst'), zip: join(scratch, 'a.zip') } as const
    for (const format of ['tar', 'tar.zst', 'zip'] as const) await pipeline(store.files.archive(id, { format }), createWriteStream(places[format]))
    const programs: Readonly<Record<string, (target: string) => string>> = {
      'GNU tar': (target) => run('tar', '-xf', places.tar, '-C', target),
      'GNU tar with zstd': (target) => run('tar', '--zstd', '-xf', places['tar.zst'], '-C', target),
      'bsdtar of tar': (target) => run('bsdtar', '-xf', places.tar, '-C', target),
      'bsdtar of zstd': (target) => run('bsdtar', '-xf', places['tar.zst'], '-C', target),
      'bsdtar of zip': (target) => run('bsdtar', '-xf', places.zip, '-C', target),
      'Info-ZIP': (target) => run('unzip', '-q', places.zip, '-d', target),
      'Python of tar': (target) => run('python3', '-c', PYTHON_UNTAR, places.tar, target),
      'Python of zip': (target) => run('python3', '-c', PYTHON_UNZIP, places.zip, target),
    }
    for (const [program, extract] of Object.entries(programs)) {
      const target = join(scratch, program)
      mkdirSync(target)
      extract(target)
      // Info-ZIP leaves control characters out of names.
      const expected = program === 'Info-ZIP' ? ['./new\nline: only here', './newline: only there'] : []
      assert.deepEqual(await compareTrees(tree, target), expected, program)
    }
    // Who reads a zip archive as it comes learns of modes and links too late, but finds every byte.
    const large = createHash('sha256')
      .update(readFileSync(join(tree, 'large')))
      .digest('hex')
    assert.equal(run('sh', '-c', `cat "${places.zip}" | bsdtar -xOf - large | sha256sum`).slice(0, 64), large)
    assert.match(run('unzip', '-t', places.zip), /No errors detected/)
    const listed = run('zipinfo', '-v', places.zip)
    assert.ok(!/unexpected|warning/i.test(listed), 'zipinfo warns')
  } finally {
    await store.close()
  }
})
