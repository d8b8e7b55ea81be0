import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mountTmpfs, serviceTest } from '../testing/service-test.ts'
import { examine } from './doctor.ts'
import { createStore } from './open.ts'

serviceTest('a store on a disk that is full, without flushes, and mounted read-only is examined all the same', ['mount'], async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  await (await createStore(join(folder, 'store'))).close()
  const disk = mountTmpfs(t, 'size=2m,nr_inodes=40')
  const directory = join(disk, 'store')
  cpSync(join(folder, 'store'), directory, { recursive: true })

  const writable = new Map((await Array.fromAsync(examine(directory))).map((finding) => [finding.check, finding]))
  assert.equal(writable.get('space')?.status, 'fail')
  assert.match(writable.get('space')?.observed ?? '', /^1 MiB and \d+ inodes free/)
  assert.match(writable.get('flushes')?.advice ?? '', /too fast for a disk/)
  rmSync(join(directory, 'registry.db-wal'), { force: true })
  rmSync(join(directory, 'registry.db-shm'), { force: true })

  execFileSync('mount', ['-o', 'remount,ro', disk])
  const found = new Map((await Array.fromAsync(examine(directory))).map((finding) => [finding.check, finding]))
  assert.equal(found.get('permissions')?.status, 'fail')
  assert.match(found.get('permissions')?.examples?.join() ?? '', /EROFS/)
  assert.match(found.get('flushes')?.observed ?? '', /could not be measured/)
  for (const check of ['settings', 'store', 'objects', 'log', 'references'])
    assert.equal(found.get(check)?.status, 'ok', `${check}: ${found.get(check)?.observed ?? 'missing'}`)
})
