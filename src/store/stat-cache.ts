import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { sha256, SHA256_BYTES } from '../core/digest.ts'
import type { FilePath } from '../core/path.ts'
import type { FileFingerprint } from '../ports/data-plane.ts'

/**
 * What git's index does for git: remembers what the files of a tree hashed to, so that a tree pushed again is listed, not read. It is a cache in
 * every respect: lost, damaged or foreign, it is as good as empty. It says what a file's bytes *are*, never that a store has them; that only the
 * store can answer (I2).
 *
 * File `<cache folder>/stat/v1-<sha256 of the absolute root>`: magic, count, then a record of {@link RECORD_WORDS} 64-bit words a file, the paths
 * joined by NUL (which no path contains), and a SHA-256 of all that. Words are in the machine's byte order, and the magic with them, so that a file
 * from another kind of machine is not understood and so ignored.
 */

/** `ASSTAT` and the version. */
const MAGIC = 0x4153_5354_4154_0001n
const HEADER_WORDS = 2
/** ino, size, mtimeNs, ctimeNs, and four words of SHA-256. */
const RECORD_WORDS = 8
const DIGEST_WORD = 4
const WORD_BYTES = 8

/**
 * Longest time within which two changes of a file can carry the same time stamp. Kernels stamp with a clock that ticks every 1 to 10 ms, file
 * systems store 1 ns (ext4, XFS, APFS), 100 ns (NTFS), 1 s (ext3, HFS+) or 2 s (FAT): the worst of them, as it cannot be asked for.
 */
const COARSEST_TICK_NS = 2_000_000_000n

/** How long the cache of a tree that is not pushed any more is kept. */
const KEPT_UNUSED_MS = 30 * 24 * 3_600_000

/** What a file was and what it hashed to then. */
export interface StatCacheEntry {
  readonly path: FilePath
  readonly fingerprint: FileFingerprint
  /** Raw SHA-256 of its bytes. */
  readonly sha256: Uint8Array
}

/** What is remembered of one tree. */
export interface StatCache {
  readonly size: number
  /** The raw SHA-256 of the file's bytes, if it still is the very file that was hashed. */
  sha256Of(path: FilePath, fingerprint: FileFingerprint): Uint8Array | undefined
}

/** Remembers nothing. */
export const EMPTY_STAT_CACHE: StatCache = { size: 0, sha256Of: () => undefined }

/** Where a tree's cache lies. */
export function statCacheFile(cacheDir: string, root: string): string {
  return join(cacheDir, 'stat', `v1-${Buffer.from(sha256(Buffer.from(resolve(root)))).toString('hex')}`)
}

/** Loads what is remembered of a tree; nothing if that is missing, unreadable, damaged or of another version. Never throws. */
export async function loadStatCache(cacheDir: string, root: string): Promise<StatCache> {
  try {
    return parseStatCache(await readFile(statCacheFile(cacheDir, root)))
  } catch {
    return EMPTY_STAT_CACHE
  }
}

/**
 * Replaces what is remembered of a tree, atomically. Not flushed: what a power cut leaves fails its checksum.
 *
 * Entries whose time stamps are not older than `listedAtMs` by more than the coarsest tick are left out. A later change of such a file may carry
 * the stamp it has now, and would go unnoticed ("racy" in git's words); one that is older cannot be changed again without its ctime moving on.
 * @param listedAtMs a time (UTC ms) before the fingerprints were taken, and so before the bytes were read
 */
export async function saveStatCache(cacheDir: string, root: string, entries: Iterable<StatCacheEntry>, listedAtMs: number): Promise<void> {
  const file = statCacheFile(cacheDir, root)
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  await mkdir(dirname(file), { recursive: true })
  // Trees come and go (a build folder with a new name each time); only a new one makes the folder grow.
  if (!existsSync(file)) await removeUnused(dirname(file), listedAtMs - KEPT_UNUSED_MS)
  try {
    await writeFile(temporary, encodeStatCache(entries, BigInt(listedAtMs) * 1_000_000n - COARSEST_TICK_NS), { flag: 'wx' })
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function removeUnused(folder: string, olderThanMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = join(folder, name)
    const facts = await stat(file).catch(() => undefined)
    if (facts !== undefined && facts.mtimeMs < olderThanMs) await rm(file, { force: true })
  }
}

function encodeStatCache(entries: Iterable<StatCacheEntry>, trustedBeforeNs: bigint): Buffer {
  const paths: string[] = []
  let words = new BigInt64Array(1024 * RECORD_WORDS)
  let digests = Buffer.from(words.buffer)
  for (const { path, fingerprint, sha256: digest } of entries) {
    if (fingerprint.mtimeNs >= trustedBeforeNs || fingerprint.ctimeNs >= trustedBeforeNs) continue
    const at = paths.length * RECORD_WORDS
    if (at === words.length) {
      const larger = new BigInt64Array(words.length * 2)
      larger.set(words)
      words = larger
      digests = Buffer.from(words.buffer)
    }
    words[at] = fingerprint.ino
    words[at + 1] = fingerprint.size
    words[at + 2] = fingerprint.mtimeNs
    words[at + 3] = fingerprint.ctimeNs
    digests.set(digest, (at + DIGEST_WORD) * WORD_BYTES)
    paths.push(path)
  }
  const header = Buffer.from(BigInt64Array.of(MAGIC, BigInt(paths.length)).buffer)
  const content = Buffer.concat([header, digests.subarray(0, paths.length * RECORD_WORDS * WORD_BYTES), Buffer.from(paths.join('\0'))])
  return Buffer.concat([content, sha256(content)])
}

function parseStatCache(bytes: Buffer): StatCache {
  const content = bytes.subarray(0, -SHA256_BYTES)
  if (!Buffer.from(sha256(content)).equals(bytes.subarray(-SHA256_BYTES))) return EMPTY_STAT_CACHE
  // Copied to where 64-bit words may lie.
  const words = new BigInt64Array(new Uint8Array(content.subarray(0, content.length - (content.length % WORD_BYTES))).buffer)
  const count = Number(words[1] ?? 0n)
  const pathsAt = (HEADER_WORDS + count * RECORD_WORDS) * WORD_BYTES
  if (words[0] !== MAGIC || count === 0 || pathsAt > content.length) return EMPTY_STAT_CACHE
  const paths = content.toString('utf8', pathsAt).split('\0')
  if (paths.length !== count) return EMPTY_STAT_CACHE
  const positions = new Map(paths.map((path, index) => [path, HEADER_WORDS + index * RECORD_WORDS]))
  return {
    size: count,
    sha256Of(path, fingerprint) {
      const at = positions.get(path)
      if (at === undefined) return undefined
      if (words[at] !== fingerprint.ino || words[at + 1] !== fingerprint.size) return undefined
      if (words[at + 2] !== fingerprint.mtimeNs || words[at + 3] !== fingerprint.ctimeNs) return undefined
      return new Uint8Array(words.buffer, (at + DIGEST_WORD) * WORD_BYTES, SHA256_BYTES)
    },
  }
}
