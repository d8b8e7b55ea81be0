import { type SqlBool, sql } from 'kysely'
import type { FilePath } from '../core/path.ts'
import { statement, type Session } from './statement.ts'
import { entryKind } from './tables.ts'

const upsert = statement<EntryRow & { draft: number }>()((p, db) =>
  db
    .insertInto('draft_entries')
    .values({
      draft_id: p('draft'),
      path: p('path'),
      kind: p('kind'),
      set_key: p('set_key'),
      chunk_id: p('chunk_id'),
      size: p('size'),
      media_type: p('media_type'),
      executable: p('executable'),
      target: p('target'),
    })
    .onConflict((conflict) =>
      conflict.columns(['draft_id', 'path']).doUpdateSet({
        kind: p('kind'),
        chunk_id: p('chunk_id'),
        size: p('size'),
        media_type: p('media_type'),
        executable: p('executable'),
        target: p('target'),
      }),
    ),
)
const remove = statement<{ draft: number; path: FilePath }>()((p, db) =>
  db.deleteFrom('draft_entries').where('draft_id', '=', p('draft')).where('path', '=', p('path')),
)
const pageByPath = statement<{ draft: number; after: FilePath; limit: number }>()((p, db) =>
  db
    .selectFrom('draft_entries')
    .select(['path', 'kind'])
    .where('draft_id', '=', p('draft'))
    .where('path', '>', p('after'))
    .orderBy('path')
    .limit(p('limit')),
)
const fileColumns = [
  'draft_entries.path',
  'draft_entries.set_key',
  'draft_entries.chunk_id',
  'draft_entries.size',
  'draft_entries.media_type',
  'draft_entries.executable',
  'chunks.digest',
] as const
const unnamedFiles = statement<{ draft: number; after: FilePath; limit: number }>()((p, db) =>
  db
    .selectFrom('draft_entries')
    .innerJoin('chunks', 'chunks.id', 'draft_entries.chunk_id')
    .select(fileColumns)
    .where('draft_id', '=', p('draft'))
    .where('path', '>', p('after'))
    .where('set_key', '=', '')
    .where('kind', '=', entryKind.file)
    .orderBy('path')
    .limit(p('limit')),
)
const namedFiles = statement<{ draft: number; set: string; after: FilePath; limit: number }>()((p, db) =>
  db
    .selectFrom('draft_entries')
    .innerJoin('chunks', 'chunks.id', 'draft_entries.chunk_id')
    .select(fileColumns)
    .where('draft_id', '=', p('draft'))
    // Spelled out, not a parameter, so that the partial index applies.
    .where('set_key', '<>', sql.lit(''))
    .where(sql<SqlBool>`(set_key, path) > (${p('set')}, ${p('after')})`)
    .where('kind', '=', entryKind.file)
    .orderBy('set_key')
    .orderBy('path')
    .limit(p('limit')),
)
const others = statement<{ draft: number; kind: number; after: FilePath; limit: number }>()((p, db) =>
  db
    .selectFrom('draft_entries')
    .select(['path', 'target'])
    .where('draft_id', '=', p('draft'))
    .where('kind', '=', p('kind'))
    .where('kind', '<>', sql.lit(0))
    .where('path', '>', p('after'))
    .orderBy('path')
    .limit(p('limit')),
)
const hasBelow = statement<{ draft: number; from: FilePath; to: FilePath }>()((p, db) =>
  db.selectFrom('draft_entries').select('path').where('draft_id', '=', p('draft')).where('path', '>', p('from')).where('path', '<', p('to')).limit(1),
)
const findEntry = statement<{ draft: number; path: FilePath }>()((p, db) =>
  db
    .selectFrom('draft_entries')
    .leftJoin('chunks', 'chunks.id', 'draft_entries.chunk_id')
    .select(['draft_entries.kind', 'draft_entries.size', 'chunks.digest'])
    .where('draft_id', '=', p('draft'))
    .where('path', '=', p('path')),
)
const totals = statement<{ draft: number }>()((p, db) =>
  db
    .selectFrom('draft_entries')
    .select((eb) => [eb.fn.countAll<number>().as('count'), sql<number>`coalesce(sum(size), 0)`.as('size')])
    .where('draft_id', '=', p('draft'))
    // Links and directories have an index of their own, and are few; this reads the table in its order.
    .where(sql<SqlBool>`+kind = ${sql.lit(entryKind.file)}`),
)
const deletePage = statement<{ draft: number; to: FilePath }>()((p, db) =>
  db.deleteFrom('draft_entries').where('draft_id', '=', p('draft')).where('path', '<=', p('to')),
)

/** One entry of an open package. `chunk_id` is set for files, `target` for links. */
export interface EntryRow {
  readonly path: FilePath
  readonly kind: number
  readonly set_key: string
  readonly chunk_id: number | null
  readonly size: number
  readonly media_type: string
  readonly executable: number
  readonly target: string | null
}

/** A file of an open package with its digest. */
export interface FileRow {
  readonly path: FilePath
  readonly set_key: string
  readonly chunk_id: number
  readonly size: number
  readonly media_type: string
  readonly executable: number
  readonly digest: Uint8Array
}

/** Adds an entry, or replaces the one of that path. What the replaced one held stays held until the draft ends: that only keeps bytes. */
export async function putEntry(session: Session, draft: number, entry: EntryRow): Promise<void> {
  await session.run(upsert, { ...entry, draft })
}

/** @returns whether there was such an entry */
export async function removeEntry(session: Session, draft: number, path: FilePath): Promise<boolean> {
  return (await session.run(remove, { draft, path })) > 0
}

/** Paths and kinds of all entries, a page at a time, in byte order of paths. */
export async function listPaths(
  session: Session,
  draft: number,
  after: string,
  limit: number,
): Promise<readonly { readonly path: FilePath; readonly kind: number }[]> {
  return session.all(pageByPath, { draft, after: bound(after), limit })
}

/** Files that are in no named set, in path order. */
export async function listUnnamedFiles(session: Session, draft: number, after: string, limit: number): Promise<readonly FileRow[]> {
  return (await session.all(unnamedFiles, { draft, after: bound(after), limit })).map(fileRow)
}

/** Files of named sets, in order of set key, then path. */
export async function listNamedFiles(
  session: Session,
  draft: number,
  after: { readonly set: string; readonly path: string },
  limit: number,
): Promise<readonly FileRow[]> {
  return (await session.all(namedFiles, { draft, set: after.set, after: bound(after.path), limit })).map(fileRow)
}

function fileRow(row: Omit<FileRow, 'chunk_id'> & { readonly chunk_id: number | null }): FileRow {
  if (row.chunk_id === null) throw new TypeError('a file entry without a chunk')
  return { ...row, chunk_id: row.chunk_id }
}

/** Links or directories, in path order. */
export async function listOthers(
  session: Session,
  draft: number,
  kind: 'symlink' | 'directory',
  after: string,
  limit: number,
): Promise<readonly { readonly path: FilePath; readonly target: string | null }[]> {
  return session.all(others, { draft, kind: entryKind[kind], after: bound(after), limit })
}

/** Whether anything lies below a directory. */
export async function hasEntriesBelow(session: Session, draft: number, directory: string): Promise<boolean> {
  // '0' is the byte after '/'.
  return (await session.get(hasBelow, { draft, from: bound(`${directory}/`), to: bound(`${directory}0`) })) !== undefined
}

/** One entry by path. */
export async function getEntry(
  session: Session,
  draft: number,
  path: FilePath,
): Promise<{ readonly kind: number; readonly size: number; readonly digest: Uint8Array | null } | undefined> {
  return session.get(findEntry, { draft, path })
}

/** Files of an open package and their bytes. Costs a step a file. */
export async function sumFiles(session: Session, draft: number): Promise<{ readonly count: number; readonly size: number }> {
  return (await session.get(totals, { draft })) ?? { count: 0, size: 0 }
}

/** Deletes up to `limit` entries. @returns how many; 0: none left */
export async function clearEntries(session: Session, draft: number, limit: number): Promise<number> {
  const page = await listPaths(session, draft, '', limit)
  const last = page.at(-1)
  if (last !== undefined) await session.run(deletePage, { draft, to: last.path })
  return page.length
}

/** Where a range of paths begins or ends need not be a path itself. */
function bound(text: string): FilePath {
  // Sound: it is only compared with paths.
  return text as FilePath
}
