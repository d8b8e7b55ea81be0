import assert from 'node:assert/strict'
import { PassThrough, Writable } from 'node:stream'
import { describe, test } from 'node:test'
import { OutputClosed } from './command-failure.ts'
import type { OutputMode } from './output.ts'
import { Output } from './output.ts'

const mode: OutputMode = { json: false, quiet: false, environment: {} }

function collect(): { readonly stream: PassThrough; readonly text: () => string } {
  const stream = new PassThrough()
  return { stream, text: () => String(stream.read() ?? '') }
}

describe('output', () => {
  test('lines are gathered and sent together, in order', async () => {
    const pieces: string[] = []
    const stdout = new Writable({
      write(chunk, _encoding, done) {
        pieces.push(String(chunk))
        done()
      },
    })
    const output = new Output(stdout, collect().stream, mode)
    await output.line('a')
    await output.json({ b: 1 })
    assert.deepEqual(pieces, [])
    await output.flush()
    await output.flush()
    assert.deepEqual(pieces, ['a\n{"b":1}\n'])
  })

  test('a slow reader slows the writer down', async () => {
    const waiting: (() => void)[] = []
    const stdout = new Writable({ write: (_chunk, _encoding, done) => void waiting.push(done) })
    const output = new Output(stdout, collect().stream, mode)
    let taken = false
    const sent = output.bytes(new Uint8Array(10)).then(() => (taken = true))
    await new Promise(setImmediate)
    assert.equal(taken, false)
    waiting[0]?.()
    await sent
    assert.equal(taken, true)
  })

  test('when the reader is gone every call says so', async () => {
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) })
    const output = new Output(stdout, collect().stream, mode)
    await assert.rejects(output.bytes(new Uint8Array(1)), OutputClosed)
    await assert.rejects(output.bytes(new Uint8Array(1)), OutputClosed)
  })

  test('another failure of standard output is not taken for a reader that left', async () => {
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('no space'), { code: 'ENOSPC' })) })
    await assert.rejects(new Output(stdout, collect().stream, mode).bytes(new Uint8Array(1)), /no space/)
  })

  test('remarks go to standard error, and nowhere with --quiet or --json', async () => {
    for (const [json, quiet, expected] of [
      [false, false, 'hello\n'],
      [true, false, ''],
      [false, true, ''],
    ] as const) {
      const stdout = collect()
      const stderr = collect()
      new Output(stdout.stream, stderr.stream, { json, quiet, environment: {} }).note('hello')
      assert.equal(stderr.text(), expected)
      assert.equal(stdout.text(), '')
    }
  })
})
