import type { Kysely } from 'kysely'
import type { Dialect } from './dialect.ts'
import type { Tables } from './tables.ts'

/** A statement that makes a table or an index. */
export interface Compiled {
  compile(): { readonly sql: string; readonly parameters: readonly unknown[] }
}

type ColumnBuilder = Parameters<NonNullable<Parameters<ReturnType<Kysely<Tables>['schema']['createTable']>['addColumn']>[2]>>[0]

/** A column that always has a value. */
export function notNull(column: ColumnBuilder): ColumnBuilder {
  return column.notNull()
}

/** A number that begins at 0. */
export function zero(column: ColumnBuilder): ColumnBuilder {
  return column.notNull().defaultTo(0)
}

/** A table whose rows lie in the order of its primary key, where the database can do that. */
export function cluster<T extends { modifyEnd(modifier: NonNullable<Dialect['clustered']>): T }>(table: T, clustered: Dialect['clustered']): T {
  return clustered === undefined ? table : table.modifyEnd(clustered)
}
