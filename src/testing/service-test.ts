import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { canLimitMemory } from './memory-limit.ts'
import { fileURLToPath } from 'node:url'

const SCHEMATHESIS = fileURLToPath(new URL('../../scripts/schemathesis/install', import.meta.url))

/**
 * What a test may need besides npm packages: a command that can be run, the right to mount a file system, everything for an `UnreliableDisk`, or the
 * library that fakes the time.
 */
export type Need = 'strace' | 'mount' | 'unreliable-disk' | 'faketime' | 'curl' | 'archivers' | 'slowhttptest' | 'schemathesis' | 'memory-limit'

/**
 * A test that needs more than npm gives. Where that is missing the test is skipped and says what for; with `ARTIFACT_STORE_CI=1` it fails, so that
 * nothing is silently left out there.
 */
export function serviceTest(behaviour: string, needs: readonly Need[], body: (t: TestContext) => Promise<void>): void {
  test(behaviour, async (t) => {
    const missing = needs.map((need) => lacks[need]()).find((reason) => reason !== undefined)
    if (missing === undefined) return body(t)
    assert.notEqual(process.env['ARTIFACT_STORE_CI'], '1', missing)
    t.skip(missing)
  })
}

/** Why a need cannot be met here, or undefined when it can. */
const lacks: Readonly<Record<Need, () => string | undefined>> = {
  strace: () => (runs('strace', '-o', '/dev/null', 'true') ? undefined : 'strace is not installed or may not be used'),
  mount: () => (canMount() ? undefined : 'mounting a file system needs root'),
  'unreliable-disk': () => {
    const tools = ['nbdkit', 'nbdfuse', 'fusermount3', 'losetup'].filter((tool) => !runs(tool, '--version'))
    if (!runs('mkfs.ext4', '-V')) tools.push('mkfs.ext4')
    const devices = ['/dev/fuse', '/dev/loop-control'].filter((device) => !existsSync(device))
    if (tools.length + devices.length > 0) return `${[...tools, ...devices].join(', ')} missing (Debian: nbdkit, libnbd-bin, fuse3, mount, e2fsprogs)`
    return lacks.mount()
  },
  curl: () => {
    if (!runs('curl', '--version')) return 'curl is not installed'
    return runs('openssl', 'version') ? undefined : 'openssl is not installed'
  },
  archivers: () => {
    const tools = ['tar', 'zstd', 'bsdtar', 'zip', 'python3'].filter((tool) => !runs(tool, '--version'))
    if (!runs('unzip', '-v')) tools.push('unzip')
    return tools.length === 0 ? undefined : `${tools.join(', ')} missing (Debian: libarchive-tools, zip, unzip, zstd, python3)`
  },
  'memory-limit': () => (canLimitMemory() ? undefined : 'limiting memory needs root and control groups of version 1'),
  // Its help ends with status 1.
  slowhttptest: () => (spawnSync('slowhttptest', ['-h']).error === undefined ? undefined : 'slowhttptest is not installed'),
  schemathesis: () =>
    spawnSync(SCHEMATHESIS, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0 ? undefined : 'Python with venv, or PyPI, cannot be had',
  faketime: () => (faketimeLibrary() === undefined ? 'libfaketime is not installed' : undefined),
}

/** The program that fuzzes HTTP interfaces, installed where it is not yet. */
export function schemathesis(): string {
  return execFileSync(SCHEMATHESIS, { encoding: 'utf8' }).trim()
}

/** Where the library lies that fakes the time of programs with threads, if it is installed. To be loaded with LD_PRELOAD. */
export function faketimeLibrary(): string | undefined {
  return globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0]
}

function runs(command: string, ...parameters: readonly string[]): boolean {
  return spawnSync(command, parameters).status === 0
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'mount-'))
  try {
    if (!runs('mount', '-t', 'tmpfs', 'none', folder)) return false
    execFileSync('umount', [folder])
    return true
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A new tmpfs with these mount options, gone after the test. */
export function mountTmpfs(t: TestContext, options: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tmpfs-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', folder])
  t.after(() => {
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}
