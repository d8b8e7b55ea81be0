import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where a device fails: when it is written to, or only when it is told to flush, as a drive with a cache does. */
export type FailingStep = 'write' | 'flush'

const DISK_BYTES = 256 * 1024 * 1024
/** Time in which the parts of the rig must be ready or gone. */
const PATIENCE_MS = 10_000

/**
 * A disk whose power can be cut and which can be made to fail. nbdkit serves a file through a write-back cache, nbdfuse shows it as a file, a loop
 * device makes it a disk, and ext4 is on it. Killing nbdkit drops everything that was not flushed. The parts are children of this process, and are
 * gone when the test is over.
 */
export class UnreliableDisk {
  /** The file system's folder. */
  readonly folder: string
  readonly #home: string
  readonly #failing: FailingStep
  #server: ChildProcess | undefined
  #fuse: ChildProcess | undefined
  #device: string | undefined

  private constructor(home: string, failing: FailingStep) {
    this.#home = home
    this.#failing = failing
    this.folder = join(home, 'mounted')
  }

  /** A new disk, empty and switched on. @param failing what {@link fail} makes fail */
  static async create(t: TestContext, failing: FailingStep = 'write'): Promise<UnreliableDisk> {
    const home = mkdtempSync(join(tmpdir(), 'unreliable-'))
    const disk = new UnreliableDisk(home, failing)
    t.after(async () => {
      await disk.#takeApart()
      rmSync(home, { recursive: true, force: true })
    })
    mkdirSync(disk.folder)
    mkdirSync(disk.#path('fuse'))
    writeFileSync(disk.#path('image'), '')
    truncateSync(disk.#path('image'), DISK_BYTES)
    // Not lazily: whatever mkfs leaves for later would be written while the test runs.
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', disk.#path('image')])
    await disk.powerOn()
    return disk
  }

  /** From now on the device reports EIO. */
  fail(): void {
    writeFileSync(this.#path('trigger'), '')
  }

  /** Makes the file system read-only at once, as ext4 does by itself when its journal cannot be written. */
  becomeReadOnly(): void {
    execFileSync('mount', ['-o', 'remount,abort', this.folder])
  }

  /** Drops everything that was not flushed. Whoever still uses the disk gets EIO. */
  async cutPower(): Promise<void> {
    await ended(this.#server)
    this.#server = undefined
  }

  /**
   * Starts the disk again and mounts it; first lets go of what is left of it. Nobody uses it meanwhile.
   * @param options `check`: repairs the file system first, as one does after errors; after a power cut replaying its journal must do.
   */
  async powerOn(options: { readonly check?: boolean } = {}): Promise<void> {
    await this.#takeApart()
    rmSync(this.#path('trigger'), { force: true })
    rmSync(this.#path('socket'), { force: true })
    const filters = this.#failing === 'write' ? ['error', 'cache'] : ['cache', 'error']
    const server = ['--exit-with-parent', '--foreground', '--unix', this.#path('socket'), ...filters.map((filter) => `--filter=${filter}`)]
    const faults = ['error-pwrite=EIO', 'error-zero=EIO', 'error-trim=EIO', 'error-rate=100%', `error-file=${this.#path('trigger')}`]
    this.#server = spawn('nbdkit', [...server, 'file', this.#path('image'), 'cache=writeback', ...faults], { stdio: 'ignore' })
    await until(() => existsSync(this.#path('socket')), 'nbdkit to listen')
    const file = this.#path('fuse/disk')
    this.#fuse = spawn('nbdfuse', [file, '--unix', this.#path('socket')], { stdio: 'ignore' })
    await until(() => existsSync(file), 'nbdfuse to show the disk')
    this.#device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim()
    if (options.check === true) {
      const { status, stdout } = spawnSync('e2fsck', ['-f', '-y', this.#device], { encoding: 'utf8' })
      assert.ok(status !== null && status < 4, `the file system cannot be repaired: ${stdout}`)
    }
    execFileSync('mount', [this.#device, this.folder])
  }

  /** Unmounts and lets go of everything, in any state, and without waiting for anything that hangs. */
  async #takeApart(): Promise<void> {
    if (this.#device !== undefined) {
      spawnSync('umount', ['-l', this.folder])
      spawnSync('losetup', ['-d', this.#device])
      this.#device = undefined
    }
    if (this.#fuse !== undefined) spawnSync('fusermount3', ['-u', '-z', this.#path('fuse')])
    await ended(this.#server)
    await ended(this.#fuse)
    this.#server = undefined
    this.#fuse = undefined
  }

  #path(name: string): string {
    return join(this.#home, name)
  }
}

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

/** Programs that are no children of Node's making have no event to wait for. */
async function until(isReady: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!isReady()) {
    assert.ok(performance.now() < deadline, `waited in vain for ${what}`)
    await sleep(5)
  }
}
