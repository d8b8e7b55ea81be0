/**
 * Copies a tree: `copy-tree.ts FROM TO flush|plain`, with one flush a file or none. Reports its own time, so that starting Node does not count; one
 * buffer, synchronous calls, nothing in between.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { report, startMeasuring } from './self-report.ts'

const buffer = Buffer.allocUnsafe(1024 ** 2)

function copyDirectory(from: string, to: string, flush: boolean): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`]
    if (entry.isDirectory()) copyDirectory(source, target, flush)
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
    else copyFile(source, target, flush)
  }
}

function copyFile(from: string, to: string, flush: boolean): void {
  const source = openSync(from, 'r')
  const target = openSync(to, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY)
  try {
    for (let length = readSync(source, buffer); length > 0; length = readSync(source, buffer)) writeSync(target, buffer, 0, length)
    fchmodSync(target, fstatSync(source).mode)
    if (flush) fsyncSync(target)
  } finally {
    closeSync(source)
    closeSync(target)
  }
}

const [from = '', to = '', mode] = process.argv.slice(2)
const measuring = startMeasuring()
copyDirectory(from, to, mode === 'flush')
report(measuring.end())
