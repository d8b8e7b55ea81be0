import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One system call as strace shows it, files by their paths. `began` and `ended` order the calls of all threads. */
export interface SystemCall {
  readonly text: string
  readonly began: number
  readonly ended: number
}

/** The calls that decide what survives a power cut, and `write`, by which a program under trace says that it is done. */
const TRACED =
  'open,openat,mkdir,mkdirat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,ftruncate'

/**
 * Runs a program of this project under strace and returns its calls in the order in which they began.
 * @param program text of an ES module; what it writes to standard output appears in the trace
 */
export function traceSystemCalls(program: string): readonly SystemCall[] {
  const folder = mkdtempSync(join(tmpdir(), 'trace-'))
  const log = join(folder, 'log')
  try {
    const strace = ['-f', '-y', '-qq', '-s', '200', '-o', log, '-e', `trace=${TRACED}`, '-e', 'signal=none']
    execFileSync('strace', [...strace, process.execPath, '--input-type=module', '-e', program], { env: { ...process.env, UV_USE_IO_URING: '0' } })
    return parseTrace(readFileSync(log, 'utf8'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A call that another thread interrupted in the log comes as two lines, `… <unfinished ...>` and `<... name resumed> …`. */
function parseTrace(log: string): readonly SystemCall[] {
  const calls: SystemCall[] = []
  const unfinished = new Map<string, { readonly text: string; readonly began: number }>()
  for (const [position, line] of log.split('\n').entries()) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    const begun = unfinished.get(thread)
    if (text.endsWith('<unfinished ...>')) {
      unfinished.set(thread, { text: text.slice(0, -'<unfinished ...>'.length), began: position })
    } else if (resumed !== null && begun !== undefined) {
      unfinished.delete(thread)
      calls.push({ text: begun.text + (resumed[1] ?? ''), began: begun.began, ended: position })
    } else if (text !== '') {
      calls.push({ text, began: position, ended: position })
    }
  }
  return calls.toSorted((a, b) => a.began - b.began)
}

/** Asserts that calls that match these patterns were made in this order, each ended before the next began. Others may lie between. */
export function assertOrder(calls: readonly SystemCall[], patterns: readonly RegExp[]): void {
  let ended = -1
  for (const pattern of patterns) {
    const call = calls.find(({ text, began }) => began > ended && pattern.test(text))
    assert.ok(call, `no ${String(pattern)} after the calls before it, in\n${calls.map(({ text }) => text).join('\n')}`)
    ended = call.ended
  }
}
