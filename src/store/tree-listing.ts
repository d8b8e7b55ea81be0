import type { EntryProblem } from '../core/errors.ts'
import { comparePaths } from '../core/path.ts'
import type { EntryKind, FilePath } from '../core/path.ts'
import type { SymlinkEntry } from '../core/symlink.ts'
import type { FileFingerprint } from '../ports/data-plane.ts'
import type { LocalEntry } from './local-tree.ts'
import { checkTree } from './tree-check.ts'

const PAGE = 4096
const WORDS = 4

/**
 * A tree as it was listed, held while it is checked and then sent. Takes a file's path and about 45 bytes, as paths alone must be kept as they are:
 * some 150 MB for a million files, a third of what the listed entries would take.
 */
export class TreeListing {
  /** Paths of the files; the other facts are asked for by position. */
  readonly files: FilePath[] = []
  readonly symlinks: SymlinkEntry[] = []
  readonly directories: FilePath[] = []
  readonly #root: string
  /** By position: files that do not lie at `<root>/<path>`, as a root that is itself a file. */
  readonly #elsewhere = new Map<number, string>()
  #bytes = 0
  /** Pages of four words a file: ino, size, mtimeNs, ctimeNs. */
  readonly #words: BigInt64Array[] = []
  readonly #executable: Uint8Array[] = []

  /** @param root what the tree was listed from */
  constructor(root: string) {
    this.#root = root
  }

  /** Sum of the files' sizes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Takes note of an entry. */
  add(entry: LocalEntry): void {
    if (entry.kind === 'directory') this.directories.push(entry.path)
    else if (entry.kind === 'symlink') this.symlinks.push({ path: entry.path, target: entry.target })
    else this.#addFile(entry)
  }

  /** Where the file lies. */
  place(position: number): string {
    return this.#elsewhere.get(position) ?? this.#expectedPlace(this.files[position] ?? '')
  }

  /** What identified the file when it was listed. */
  fingerprint(position: number): FileFingerprint {
    const words = this.#words[Math.floor(position / PAGE)] ?? new BigInt64Array(PAGE * WORDS)
    const at = (position % PAGE) * WORDS
    return { ino: words[at] ?? 0n, size: words[at + 1] ?? 0n, mtimeNs: words[at + 2] ?? 0n, ctimeNs: words[at + 3] ?? 0n }
  }

  /** Whether the owner may execute the file. */
  executable(position: number): boolean {
    return this.#executable[Math.floor(position / PAGE)]?.[position % PAGE] === 1
  }

  /** What is wrong between the entries. */
  problems(): readonly EntryProblem[] {
    const others = new Map<FilePath, EntryKind>()
    for (const { path } of this.symlinks) others.set(path, 'symlink')
    for (const path of this.directories) others.set(path, 'directory')
    const paths = [...this.files, ...others.keys()].sort(comparePaths)
    return checkTree(paths, (path) => others.get(path) ?? 'file', this.symlinks).problems
  }

  #expectedPlace(path: string): string {
    return `${this.#root}/${path}`
  }

  #addFile({ path, absolute, fingerprint: { ino, size, mtimeNs, ctimeNs }, executable }: Extract<LocalEntry, { kind: 'file' }>): void {
    const position = this.files.push(path) - 1
    if (absolute !== this.#expectedPlace(path)) this.#elsewhere.set(position, absolute)
    if (position % PAGE === 0) {
      this.#words.push(new BigInt64Array(PAGE * WORDS))
      this.#executable.push(new Uint8Array(PAGE))
    }
    this.#words.at(-1)?.set([ino, size, mtimeNs, ctimeNs], (position % PAGE) * WORDS)
    if (executable) this.#executable.at(-1)?.fill(1, position % PAGE, (position % PAGE) + 1)
    this.#bytes += Number(size)
  }
}
