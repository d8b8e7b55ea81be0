import { access, constants } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler, sql } from 'kysely'
import { BackendFailedError, DamagedError, RegistryBusyError, StorageFullError, StoreError, StoreReadOnlyError } from '../core/errors.ts'
import type { BoundQuery, Connection, Database, Dialect } from './dialect.ts'
import { Checkpointer } from './sqlite-checkpointer.ts'
import { DatabaseFile, type PreparedStatement } from './sqlite-driver.ts'
import type { Tables } from './tables.ts'

/** The oldest SQLite whose WAL is trusted here: earlier ones could lose a commit when a checkpoint raced a restart. */
const OLDEST_SQLITE = [3, 51, 3] as const
/** The event loop lives: a lock that is not free is waited for asynchronously. */
const BUSY_TIMEOUT_MS = 0

/** What is particular to SQLite. */
export const sqliteDialect: Dialect = {
  name: 'sqlite',
  builder: new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  }),
  // Never reuses an id, so that a leftover holder row cannot come to hold something else.
  idType: sql`integer primary key autoincrement`,
  integerType: 'integer',
  bytesType: 'blob',
  textType: 'text',
  clustered: sql`without rowid`,
  now: sql<number>`cast(unixepoch('subsec') * 1000 as integer)`,
}

/** One connection, speaking the errors of the store. */
export class SqliteConnection implements Connection {
  readonly #database: DatabaseFile
  readonly #prepared = new Map<string, PreparedStatement>()

  constructor(database: DatabaseFile) {
    this.#database = database
  }

  async all(query: BoundQuery): Promise<readonly unknown[]> {
    try {
      return this.#prepare(query.sql).all(...query.parameters)
    } catch (error) {
      throw sqliteError(error)
    }
  }

  async run(query: BoundQuery): Promise<number> {
    try {
      return Number(this.#prepare(query.sql).run(...query.parameters).changes)
    } catch (error) {
      throw sqliteError(error)
    }
  }

  #prepare(text: string): PreparedStatement {
    const known = this.#prepared.get(text)
    if (known !== undefined) return known
    // Searches make a bounded number of texts; the bound only guards against a mistake.
    if (this.#prepared.size >= 500) this.#prepared.clear()
    const made = this.#database.prepare(text)
    this.#prepared.set(text, made)
    return made
  }
}

class SqliteDatabase implements Database {
  readonly dialect: Dialect = sqliteDialect
  readonly reader: Connection
  readonly #writer: DatabaseFile
  readonly #writerConnection: SqliteConnection
  readonly #readerDatabase: DatabaseFile
  readonly #checkpointer: Checkpointer

  constructor(file: string, writer: DatabaseFile, reader: DatabaseFile) {
    this.#writer = writer
    this.#writerConnection = new SqliteConnection(writer)
    this.#readerDatabase = reader
    this.reader = new SqliteConnection(reader)
    this.#checkpointer = new Checkpointer(file, writer)
  }

  async begin(): Promise<Connection | undefined> {
    try {
      this.#writer.exec('begin immediate')
      return this.#writerConnection
    } catch (error) {
      const known = sqliteError(error)
      if (known instanceof RegistryBusyError) return undefined
      throw known
    }
  }

  async commit(): Promise<void> {
    try {
      this.#writer.exec('commit')
      this.#checkpointer.committed()
    } catch (error) {
      throw sqliteError(error)
    }
  }

  async rollback(): Promise<void> {
    // A failed statement may have rolled back by itself.
    if (this.#writer.isTransaction) this.#writer.exec('rollback')
  }

  async close(): Promise<void> {
    await this.#checkpointer.close()
    this.#readerDatabase.close()
    this.#writer.close()
  }
}

/**
 * Opens a registry file, or makes an empty one. The settings that durability rests on are asserted, not assumed.
 * @throws StoreReadOnlyError, StorageFullError, DamagedError, RegistryBusyError
 */
export async function openSqlite(file: string): Promise<Database> {
  assertSqliteVersion()
  try {
    const writer = new DatabaseFile(file, { timeout: 5_000 })
    configureWriter(writer)
    const reader = new DatabaseFile(file, { readOnly: true, timeout: 50 })
    return new SqliteDatabase(file, writer, reader)
  } catch (error) {
    throw await openFailure(file, sqliteError(error))
  }
}

/** SQLite does not say why it cannot open a file; a folder that cannot be written is the usual reason. */
async function openFailure(file: string, known: unknown): Promise<unknown> {
  if (!(known instanceof BackendFailedError)) return known
  const folder = dirname(file)
  return access(folder, constants.W_OK).then(
    () => known,
    (cause: unknown) =>
      new StoreReadOnlyError(
        `${folder} cannot be written, and without that the registry cannot be read either; check its permissions and how it is mounted`,
        { cause },
      ),
  )
}

function configureWriter(writer: DatabaseFile): void {
  // 0 pages: checkpoints happen off the commit path, see sqlite-checkpointer.ts.
  writer.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0; pragma busy_timeout = ${BUSY_TIMEOUT_MS};
    pragma journal_size_limit = 67108864; pragma cache_size = -16384; pragma temp_store = memory`)
  const mode = writer.prepare('pragma journal_mode').get()?.['journal_mode']
  const synchronous = writer.prepare('pragma synchronous').get()?.['synchronous']
  if (mode !== 'wal' || synchronous !== 2) {
    throw new StoreReadOnlyError(`the registry cannot be written safely: journal mode ${String(mode)}, synchronous ${String(synchronous)}`)
  }
}

/** @throws StoreReadOnlyError when this SQLite is older than the registry can trust */
export function assertSqliteVersion(): void {
  const found = (process.versions['sqlite'] ?? '0.0.0').split('.').map(Number)
  for (const [index, least] of OLDEST_SQLITE.entries()) {
    const part = found[index] ?? 0
    if (part > least) return
    if (part < least) throw new StoreReadOnlyError(`SQLite ${found.join('.')} is older than ${OLDEST_SQLITE.join('.')}, which the registry needs`)
  }
}

/**
 * Failures after which nothing more may be written: SQLITE_IOERR_WRITE (of a file system that became read-only, too; one that is full has a code of
 * its own), SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_TRUNCATE.
 */
const FINAL_FAILURES: ReadonlySet<number> = new Set([778, 1034, 1290, 1546])

/** Maps SQLite's result codes (https://www.sqlite.org/rescode.html) to the store's errors. */
export function sqliteError(error: unknown): unknown {
  if (error instanceof StoreError || !(error instanceof Error) || !('errcode' in error)) return error
  const code = Number(error.errcode)
  const cause = { cause: error }
  switch (code & 0xff) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return new RegistryBusyError('the registry is busy with another writer', cause)
    case 8: // SQLITE_READONLY
      return new StoreReadOnlyError(`the registry cannot be written: ${error.message}`, cause)
    case 10: // SQLITE_IOERR
      return new BackendFailedError(`the registry's disk failed: ${error.message}`, { ...cause, detail: { flush: FINAL_FAILURES.has(code) } })
    case 13: // SQLITE_FULL
      return new StorageFullError('no space left for the registry', cause)
    case 14: // SQLITE_CANTOPEN
      return new BackendFailedError(`the registry cannot be opened: ${error.message}`, cause)
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return new DamagedError(`the registry is damaged: ${error.message}; run 'artifact-store recover'`, cause)
    default:
      return error
  }
}
