import type { ColumnDataType, Kysely, RawBuilder } from 'kysely'
import type { Tables } from './tables.ts'

/** A value a statement can be bound to or return. */
export type SqlValue = null | number | string | Uint8Array

/** SQL text and its parameters in order. */
export interface BoundQuery {
  readonly sql: string
  readonly parameters: readonly SqlValue[]
}

/**
 * Where SQLite and PostgreSQL differ, apart from how they are connected to. Queries are written once against {@link Tables} and compiled by the
 * dialect's builder; nothing is executed through the builder.
 */
export interface Dialect {
  readonly name: 'sqlite' | 'postgres'
  /** Compiles only. */
  readonly builder: Kysely<Tables>
  readonly idType: ColumnDataType | RawBuilder<unknown>
  readonly integerType: ColumnDataType
  readonly bytesType: ColumnDataType
  readonly textType: ColumnDataType | RawBuilder<unknown>
  /** Appended to tables whose primary key is how they are read. */
  readonly clustered: RawBuilder<unknown> | undefined
  /** The database's clock, UTC milliseconds (I8). */
  readonly now: RawBuilder<number>
}

/** One connection inside a transaction, or reading a snapshot. */
export interface Connection {
  /** Runs a query and returns all its rows. */
  all(query: BoundQuery): Promise<readonly unknown[]>
  /** Runs a query that returns no rows; resolves to the number of rows it changed. */
  run(query: BoundQuery): Promise<number>
}

/** A database as the registry sees it. */
export interface Database {
  readonly dialect: Dialect
  /** Reads a consistent snapshot. */
  readonly reader: Connection
  /** Starts a write transaction. @returns undefined when another writer is at it: wait and ask again */
  begin(): Promise<Connection | undefined>
  /** Makes the transaction durable. */
  commit(): Promise<void>
  rollback(): Promise<void>
  close(): Promise<void>
}
