import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { Connection, Dialect } from './dialect.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { assertSqliteVersion, SqliteConnection, sqliteDialect, sqliteError } from './sqlite.ts'

/** A registry that is only looked at, beside whoever uses it. */
export interface SqliteReader {
  readonly dialect: Dialect
  readonly reader: Connection
  close(): void
}

/** Problems of a damaged file that are told at most. */
const TOLD_PROBLEMS = 5

/**
 * Opens a registry file for reading alone, also one that nobody may write.
 * @throws DamagedError, RegistryBusyError, BackendFailedError, StoreReadOnlyError when this SQLite is too old
 */
export function openSqliteReader(file: string): SqliteReader {
  assertSqliteVersion()
  try {
    const database = openForReading(file)
    // [M] sums over 1.2 million rows: 18 s with SQLite's 2 MB, 6.5 s with 16 MiB, 5.7 s with 64.
    database.exec('pragma cache_size = -16384')
    return { dialect: sqliteDialect, reader: new SqliteConnection(database), close: () => database.close() }
  } catch (error) {
    throw sqliteError(error)
  }
}

function openForReading(file: string): DatabaseFile {
  try {
    const database = new DatabaseFile(file, { readOnly: true, timeout: 5_000 })
    // The file is looked into only now.
    database.prepare('pragma schema_version').get()
    return database
  } catch (error) {
    // Readers of a write-ahead log share a file of locks, which cannot be made where nothing can be written; nobody else writes there either.
    const isUnwritable = error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === 14
    if (!isUnwritable || existsSync(`${file}-wal`)) throw error
    return new DatabaseFile(new URL('?immutable=1', pathToFileURL(file)), { readOnly: true })
  }
}

/** How a registry file is kept, and what a check of its structure found; empty when it is sound. The check reads the whole file. */
export async function readSqliteFacts(
  file: string,
  reader: Connection,
): Promise<{ readonly isLogged: boolean; readonly problems: readonly string[] }> {
  const found = await reader.all({ sql: `pragma quick_check(${TOLD_PROBLEMS})`, parameters: [] })
  return { isLogged: hasWriteAheadLog(file), problems: found.map(textOf).filter((line) => line !== 'ok') }
}

/** The file says so itself, also where it is read without its log (https://www.sqlite.org/fileformat.html, offsets 18 and 19). */
function hasWriteAheadLog(file: string): boolean {
  const versions = Buffer.alloc(2)
  const fd = openSync(file, 'r')
  try {
    readSync(fd, versions, 0, 2, 18)
    return versions.equals(Buffer.of(2, 2))
  } finally {
    closeSync(fd)
  }
}

/** A pragma answers with rows of one column, whatever its name. */
function textOf(row: unknown): string {
  return typeof row === 'object' && row !== null ? String(Object.values(row)[0]) : ''
}

/**
 * Whether another process, or another connection of this one, has the registry open. What is no database any more is not in use.
 * @throws BackendFailedError and the like when it cannot be told
 */
export function isRegistryInUse(file: string): boolean {
  if (!existsSync(file)) return false
  let database: DatabaseFile | undefined
  try {
    database = new DatabaseFile(file, { timeout: 0 })
    // Only a connection that is alone gets this.
    database.exec('pragma locking_mode = exclusive; begin exclusive; rollback')
    return false
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined
    if (code === 5 || code === 6) return true
    if (code === 11 || code === 26) return false
    throw sqliteError(error)
  } finally {
    database?.close()
  }
}
