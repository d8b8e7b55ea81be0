import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { setImmediate } from 'node:timers/promises'

const PIECE = 1 << 20
const OWNER_EXECUTE = 0o100

/**
 * Compares two folders by what a package keeps of them: names, kinds, bytes, whether the owner may execute, where links lead, directories.
 * @returns a line for each difference, by path; nothing if they are the same. Names that are not UTF-8 are compared as the bytes they are.
 */
export async function compareTrees(a: string, b: string): Promise<string[]> {
  const differences: string[] = []
  await compareEntry(Buffer.from(a), Buffer.from(b), '.', differences)
  return differences
}

async function compareEntry(a: Buffer, b: Buffer, path: string, differences: string[]): Promise<void> {
  const [left, right] = [lstatSync(a), lstatSync(b)]
  if (kindOf(left) !== kindOf(right)) differences.push(`${path}: ${kindOf(left)} here, ${kindOf(right)} there`)
  else if (left.isDirectory()) await compareDirectories(a, b, path, differences)
  else if (left.isSymbolicLink()) compareLinks(a, b, path, differences)
  else if (left.isFile()) compareFiles(a, b, path, [left, right], differences)
}

async function compareDirectories(a: Buffer, b: Buffer, path: string, differences: string[]): Promise<void> {
  const there = new Set(namesIn(b))
  for (const name of namesIn(a)) {
    const below = `${path}/${Buffer.from(name, 'latin1').toString()}`
    if (there.delete(name)) await compareEntry(child(a, name), child(b, name), below, differences)
    else differences.push(`${below}: only here`)
  }
  for (const name of there) differences.push(`${path}/${Buffer.from(name, 'latin1').toString()}: only there`)
  await setImmediate()
}

function compareLinks(a: Buffer, b: Buffer, path: string, differences: string[]): void {
  if (!readlinkSync(a, 'buffer').equals(readlinkSync(b, 'buffer'))) differences.push(`${path}: links lead to different places`)
}

function compareFiles(a: Buffer, b: Buffer, path: string, [left, right]: readonly [Stats, Stats], differences: string[]): void {
  if ((left.mode & OWNER_EXECUTE) !== (right.mode & OWNER_EXECUTE)) differences.push(`${path}: executable on one side only`)
  if (left.size !== right.size) differences.push(`${path}: ${left.size} bytes here, ${right.size} there`)
  else if (!haveSameBytes(a, b, left.size)) differences.push(`${path}: same size, different bytes`)
}

function haveSameBytes(a: Buffer, b: Buffer, size: number): boolean {
  const [left, right] = [openSync(a, 'r'), openSync(b, 'r')]
  try {
    const length = Math.min(PIECE, size)
    const [fromLeft, fromRight] = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)]
    for (let position = 0; position < size; position += PIECE) {
      const [read, readRight] = [readSync(left, fromLeft, 0, length, position), readSync(right, fromRight, 0, length, position)]
      if (read !== readRight || !fromLeft.subarray(0, read).equals(fromRight.subarray(0, read))) return false
    }
    return true
  } finally {
    closeSync(left)
    closeSync(right)
  }
}

/** One character a byte, so that any name is found again. */
function namesIn(folder: Buffer): string[] {
  return readdirSync(folder, 'latin1')
}

function child(folder: Buffer, name: string): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), Buffer.from(name, 'latin1')])
}

function kindOf(facts: Stats): string {
  if (facts.isFile()) return 'a file'
  if (facts.isDirectory()) return 'a directory'
  return facts.isSymbolicLink() ? 'a link' : 'something else'
}
