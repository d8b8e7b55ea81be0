import type { Define } from '../command-context.ts'
import { NotFoundError } from '../../core/errors.ts'
import { parsePackageId, parseRepositoryName } from '../../core/name.ts'
import { displayPath } from '../../core/path.ts'
import type { ExpiredFileSet, FileInfo, PackageInfo, Store } from '../../store/interface.ts'
import { parseLimit } from '../option-values.ts'
import type { Output } from '../output.ts'
import { formatBytes, formatCount, plural } from '../render/bytes.ts'
import type { Column } from '../render/table.ts'
import { tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'
import { allPages, listRepositories } from '../repository-list.ts'

const packageColumns: readonly Column[] = [
  { title: 'PACKAGE', width: 36 },
  { title: 'SEALED', width: 19 },
  { title: 'FILES', width: 7, align: 'right' },
  { title: 'SIZE', width: 8, align: 'right' },
  { title: 'REPOSITORY AND TAGS', width: 0 },
]

const fileColumns: readonly Column[] = [
  { title: 'SIZE', width: 8, align: 'right' },
  { title: 'KIND', width: 5 },
  { title: 'PATH', width: 0 },
]

/** `ls [NAME-PREFIX|REF]`: repositories, packages, or the files of a package. */
export const define: Define = (command, act) => {
  command
    .description('Lists repositories; or the packages of a repository and those below it, newest first; or the files of a package.')
    .argument('[name]', 'nothing: repositories; a repository: its packages; a package (id, NAME:TAG, NAME@sha256:DIGEST): its files')
    .option('--limit <n>', 'print at most this many packages or files')
    .addHelpText(
      'after',
      `
Sizes are in bytes with --json; with --quiet only names, ids or paths are printed, one a line.
Line breaks and control characters in names are printed as \\u{…}.

Examples:
  artifact-store ls
  artifact-store ls demo --limit 10
  artifact-store ls demo/app:latest
  artifact-store ls demo/app:latest --json`,
    )
    .action(
      act(async ({ output, open }, name: string | undefined, options: { readonly limit?: string }) => {
        const limit = options.limit === undefined ? Infinity : parseLimit('--limit', options.limit)
        if (name !== undefined && !isReference(name)) parseRepositoryName(name)
        await using store = await open()
        if (name === undefined) await listRepositories(output, store)
        else if (isReference(name)) await listFiles(output, store, name, limit)
        else await listPackages(output, store, name, limit)
        return undefined
      }),
    )
}

/** A text with `:` or `@`, or a package id, names one package; anything else is a name of repositories. */
function isReference(name: string): boolean {
  if (/[:@]/.test(name)) return true
  try {
    parsePackageId(name)
    return true
  } catch {
    return false
  }
}

async function listPackages(output: Output, store: Store, repository: string, limit: number): Promise<void> {
  const { json, quiet } = output.mode
  let count = 0
  for await (const info of allPages((page) => store.packages.search({ repository }, page))) {
    if (count === limit) return
    if (json) await output.json(info)
    else if (quiet) await output.line(info.id)
    else {
      if (count === 0) await output.line(output.style.faint(tableHead(packageColumns)))
      await output.line(packageLine(info))
    }
    count += 1
  }
  if (count > 0) return
  const { items } = await store.repositories.list(repository, { limit: 1 })
  if (items.length === 0) throw new NotFoundError(`there is no repository ${repository} and none below it`)
  output.note('No packages yet.')
}

function packageLine({ id, status, finalizedAt, createdAt, fileCount, size, repository, tags }: PackageInfo): string {
  const names = [repository, ...tags.map((tag) => `:${tag}`), ...(status === 'finalized' ? [] : [`(${status})`])].join(' ')
  return tableLine(packageColumns, [id, formatTime(finalizedAt ?? createdAt), formatCount(fileCount), formatBytes(size), names])
}

async function listFiles(output: Output, store: Store, ref: string, limit: number): Promise<void> {
  const { json, quiet } = output.mode
  let count = 0
  for await (const entry of store.files.list(ref)) {
    if (count === limit) return
    if (json) await output.json(entry)
    else if (quiet) await output.line(displayPath(entry.path))
    else {
      if (count === 0) await output.line(output.style.faint(tableHead(fileColumns)))
      await output.line(fileLine(entry))
    }
    count += 1
  }
  for (const gone of await store.files.expired(ref)) {
    if (json) await output.json({ kind: 'expired', ...gone })
    else if (!quiet) await output.line(expiredLine(gone))
    count += 1
  }
  if (count === 0) output.note('The package holds no files.')
}

function expiredLine({ fileSets, count, size, deletedAt }: ExpiredFileSet): string {
  const of = fileSets.length === 0 ? 'no file set' : `file set ${fileSets.join(', ')}`
  return tableLine(fileColumns, [formatBytes(size), 'gone', `${plural(count, 'file')} of ${of}, since ${formatTime(deletedAt)}`])
}

function fileLine(entry: FileInfo): string {
  const path = displayPath(entry.path)
  if (entry.kind === 'symlink') return tableLine(fileColumns, ['', 'link', `${path} -> ${displayPath(entry.target)}`])
  if (entry.kind === 'directory') return tableLine(fileColumns, ['', 'empty', `${path}/`])
  return tableLine(fileColumns, [formatBytes(entry.size), entry.executable ? 'exec' : 'file', path])
}
