import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { Progress } from './progress.ts'

const MIB = 1024 * 1024

function stage(terminal: boolean): { readonly progress: Progress; readonly at: (ms: number) => void; readonly text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY: terminal, columns: 120 })
  let now = 0
  return {
    progress: new Progress(stream, 'storing', () => now),
    at: (ms) => {
      now = ms
    },
    text: () => String(stream.read() ?? ''),
  }
}

describe('progress', () => {
  test('a terminal gets a bar with rate and remaining time', () => {
    const { progress, at, text } = stage(true)
    at(1000)
    progress.update({ files: 3, bytes: 10 * MIB, totalFiles: 12, totalBytes: 40 * MIB })
    assert.equal(text(), '\r[###.........]  25 % storing 3/12 files, 10 MiB of 40 MiB, 10 MiB/s, 3 s left\u001b[K')
  })
  test('a bar is redrawn at most ten times a second and removed at the end', () => {
    const { progress, at, text } = stage(true)
    at(1000)
    progress.update({ files: 1, bytes: 1 })
    assert.notEqual(text(), '')
    at(1050)
    progress.update({ files: 2, bytes: 2 })
    assert.equal(text(), '')
    progress.end()
    assert.equal(text(), '\r\u001b[K')
  })
  test('elsewhere a short piece of work says nothing, a long one a line every five seconds', () => {
    const { progress, at, text } = stage(false)
    at(4000)
    progress.update({ files: 1, bytes: MIB })
    assert.equal(text(), '')
    at(5000)
    progress.update({ files: 5, bytes: 5 * MIB })
    assert.equal(text(), 'storing 5 files, 5.0 MiB, 1.0 MiB/s\n')
    at(9000)
    progress.update({ files: 6, bytes: 6 * MIB })
    progress.end()
    assert.equal(text(), '')
  })
  test('the rate is that of the last seconds, not of the whole time', () => {
    const { progress, at, text } = stage(true)
    for (let second = 1; second <= 20; second++) {
      at(second * 1000)
      progress.update({ files: 1, bytes: second <= 10 ? second * 100 * MIB : 1000 * MIB + (second - 10) * MIB })
      text()
    }
    at(21_000)
    progress.update({ files: 1, bytes: 1011 * MIB, totalBytes: 1021 * MIB })
    assert.match(text(), /, 1\.0 MiB\/s, 10 s left/)
  })
  test('a bar is cut to the width of the terminal', () => {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 20 })
    let now = 0
    const progress = new Progress(stream, 'storing', () => now)
    now = 200
    progress.update({ files: 1, bytes: 1, totalBytes: 2 })
    assert.equal(String(stream.read()).length, 1 + 19 + 3)
  })
})
