import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followGuide } from '../testing/guide-run.ts'

test('every command of the guide works, in the order of the guide', async () => {
  const { blocks, stdout, stderr } = await followGuide('cli.md')
  assert.ok(blocks >= 8)
  assert.match(stdout, /reusedExisting {2}true/)
  assert.match(stdout, /\{"tests": 12, "failed": 0\}\nallWrote 2 files/)
  assert.equal(stderr, '')
})

test('every command of the guide to trouble does what the guide says', async () => {
  const { blocks, stdout, stderr } = await followGuide('trouble.md')
  assert.ok(blocks >= 9)
  const endings = [...stdout.matchAll(/^(\w+) ended with (\d)$/gm)].map(([, command, code]) => `${command ?? ''} ${code ?? ''}`)
  assert.deepEqual(endings, ['doctor 5', 'ls 3', 'doctor 5', 'cat 5', 'verify 5', 'doctor 5', 'push 1', 'doctor 5'])
  assert.match(stdout, /FAIL {2}store +the objects of a store are in .*, but its registry\s+is not/)
  assert.match(stdout, /Complete up to event \d+, .*\nNothing is missing\.\n/)
  assert.match(stdout, /trace\.bin {2}sha256:[0-9a-f]{64} is damaged: (.*\n){2}Read 4 files \(5\.7 MiB\): 2 problems found\n/)
  assert.match(stdout, /reusedExisting {2}true .*\nRead 4 files \(5\.7 MiB\): all of it is what it was\nWARN {2}damage/)
  assert.match(stdout, /demo\/later :v1\n/)
  assert.match(stderr, /the registry is not the one the object store knows/)
})

test('every command of the guide to retention answers what the guide says', async () => {
  const { blocks, stdout, stderr } = await followGuide('retention.md')
  assert.ok(blocks >= 12)
  const endings = [...stdout.matchAll(/^(\w+) ended with (\d)$/gm)].map(([, command, code]) => `${command ?? ''} ${code ?? ''}`)
  assert.deepEqual(endings, ['shorten 4', 'delete 4', 'cat 3', 'delete 4', 'plan 3'])
  assert.match(stdout, /keeps {5}other files: is kept until .*\n.*file set raw: class glimpse: PT2S, counted from/)
  assert.match(stdout, /keeps {5}legal hold .*\(Case 7\), since .*\nkeeps {5}so it is retained, and nothing of it is deleted while it is held/)
  assert.match(stdout, / gone +1 file of file set raw, since /)
  assert.match(stdout, /state +completed\n/)
  assert.match(stdout, /\(deleted\)\n/)
  assert.match(stdout, /state +certified\ndeleted .*\nauthority +plan sha256:[0-9a-f]{64}\nreason +the week is over\n/)
  assert.equal(stdout.match(/^\{"digest":"sha256:[0-9a-f]{64}","size":\d+,"state":"still referenced"\}$/gm)?.length, 3)
  assert.match(stdout, /status +purged\n/)
  assert.match(stdout, /clock +trusted\n/)
  assert.match(stderr, /kept in compliance mode, which nobody can shorten/)
  assert.match(stderr, /is over, but its class wants the deletion approved/)
})
