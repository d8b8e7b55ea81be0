import { type Kysely, sql } from 'kysely'
import { VersionUnsupportedError } from '../core/errors.ts'
import type { BoundQuery, Connection, Dialect } from './dialect.ts'
import type { Tables } from './tables.ts'

interface Compiled {
  compile(): { readonly sql: string; readonly parameters: readonly unknown[] }
}

/** The statements of each schema version, in order. A version that has been released is never edited. */
const migrations: readonly ((dialect: Dialect) => readonly Compiled[])[] = [foundation]

/** The schema this release writes. */
export const SCHEMA_VERSION: number = migrations.length

/**
 * Brings an empty or older registry to {@link SCHEMA_VERSION}, inside the caller's write transaction.
 * @throws VersionUnsupportedError when the registry was written by a newer release
 */
export async function migrate(dialect: Dialect, connection: Connection, found: number): Promise<void> {
  if (found > SCHEMA_VERSION) {
    throw new VersionUnsupportedError(
      `the registry has schema version ${found}; this release knows up to ${SCHEMA_VERSION}. Use the release that wrote it, or a newer one`,
      { detail: { found, known: SCHEMA_VERSION } },
    )
  }
  for (const migration of migrations.slice(found)) {
    for (const statement of migration(dialect)) await connection.run(bound(statement))
  }
}

function bound(statement: Compiled): BoundQuery {
  return { sql: statement.compile().sql, parameters: [] }
}

function foundation(dialect: Dialect): readonly Compiled[] {
  return [...physicalTables(dialect), ...draftTables(dialect), ...logicalTables(dialect)]
}

function physicalTables({ builder: db, idType: id, integerType: int, bytesType: bytes, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    cluster(
      db.schema
        .createTable('settings')
        .addColumn('key', text, notNull)
        .addColumn('value', text, notNull)
        .addPrimaryKeyConstraint('settings_pk', ['key']),
      clustered,
    ),
    db.schema
      .createTable('leases')
      .addColumn('id', id)
      .addColumn('owner', text, notNull)
      .addColumn('name', text, (c) => c.unique())
      .addColumn('acquired_at', int, notNull)
      .addColumn('expires_at', int, notNull),
    db.schema
      .createTable('objects')
      .addColumn('id', id)
      .addColumn('domain', int, notNull)
      .addColumn('backend', int, zero)
      .addColumn('tier', int, zero)
      .addColumn('key_id', int, zero)
      .addColumn('key', text, (c) => c.notNull().unique())
      .addColumn('kind', int, notNull)
      .addColumn('state', int, notNull)
      .addColumn('lease_id', int)
      .addColumn('retention_class', text)
      .addColumn('size', int, zero)
      .addColumn('entries', int, zero)
      .addColumn('dead_bytes', int, zero)
      .addColumn('created_at', int, notNull)
      .addColumn('changed_at', int, notNull)
      .addColumn('verified_at', int),
    db.schema.createIndex('objects_unfinished').on('objects').columns(['lease_id', 'state']).where('lease_id', 'is not', null),
    db.schema
      .createIndex('objects_state')
      .on('objects')
      .columns(['state', 'id'])
      .where(sql<number>`state`, '<>', sql.lit(2)),
    db.schema
      .createTable('chunks')
      .addColumn('id', id)
      .addColumn('domain', int, notNull)
      .addColumn('digest', bytes, notNull)
      .addColumn('size', int, notNull)
      .addColumn('object_id', int)
      .addColumn('offset', int, notNull)
      .addColumn('stored_length', int, notNull)
      .addColumn('codec', int, notNull)
      .addColumn('state', int, notNull)
      .addColumn('key_id', int, zero)
      .addColumn('erase_by', int)
      .addColumn('verified_at', int)
      .addColumn('created_at', int, notNull),
    // Unique while it may come back to life; condemned rows (I4) step aside for the same bytes under a new key.
    db.schema
      .createIndex('chunks_digest')
      .unique()
      .on('chunks')
      .columns(['digest', 'domain'])
      .where(sql<number>`state`, '<', sql.lit(2)),
    db.schema.createIndex('chunks_object').on('chunks').columns(['object_id', 'offset']),
    db.schema
      .createIndex('chunks_damaged')
      .on('chunks')
      .column('id')
      .where(sql<number>`state`, '=', sql.lit(1)),
    db.schema.createIndex('chunks_erase_by').on('chunks').column('erase_by').where('erase_by', 'is not', null),
    cluster(
      db.schema
        .createTable('checksums')
        .addColumn('chunk_id', int, notNull)
        .addColumn('segment', int, notNull)
        .addColumn('crcs', bytes, notNull)
        .addPrimaryKeyConstraint('checksums_pk', ['chunk_id', 'segment']),
      clustered,
    ),
    cluster(
      db.schema
        .createTable('recipes')
        .addColumn('blob_id', int, notNull)
        .addColumn('position', int, notNull)
        .addColumn('chunk_id', int, notNull)
        .addColumn('start', int, notNull)
        .addPrimaryKeyConstraint('recipes_pk', ['blob_id', 'position']),
      clustered,
    ),
    cluster(
      db.schema
        .createTable('holders')
        .addColumn('kind', int, notNull)
        .addColumn('holder_id', int, notNull)
        .addColumn('target_id', int, notNull)
        .addPrimaryKeyConstraint('holders_pk', ['kind', 'holder_id', 'target_id']),
      clustered,
    ),
    db.schema.createIndex('holders_target').on('holders').column('target_id'),
    db.schema
      .createTable('quarantine')
      .addColumn('id', id)
      .addColumn('object_id', int, notNull)
      .addColumn('offset', int, notNull)
      .addColumn('stored_length', int, notNull)
      .addColumn('codec', int, notNull)
      .addColumn('digest', bytes, notNull)
      .addColumn('size', int, notNull)
      .addColumn('reason', text, notNull)
      .addColumn('found_at', int, notNull),
    db.schema.createIndex('quarantine_place').unique().on('quarantine').columns(['object_id', 'offset']),
    db.schema
      .createTable('reviews')
      .addColumn('target_id', int, (c) => c.primaryKey())
      .addColumn('queued_at', int, notNull),
    db.schema.createIndex('reviews_queued').on('reviews').columns(['queued_at', 'target_id']),
    db.schema
      .createTable('manifests')
      .addColumn('id', id)
      .addColumn('chunk_id', int, notNull)
      .addColumn('state', int, notNull)
      .addColumn('draft_id', int)
      .addColumn('created_at', int, notNull),
    db.schema
      .createIndex('manifests_published')
      .unique()
      .on('manifests')
      .column('chunk_id')
      .where(sql<number>`state`, '=', sql.lit(1)),
    db.schema.createIndex('manifests_draft').on('manifests').column('draft_id').where('draft_id', 'is not', null),
  ]
}

function draftTables({ builder: db, idType: id, integerType: int, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('drafts')
      .addColumn('id', id)
      .addColumn('uuid', text, (c) => c.notNull().unique())
      .addColumn('repository_id', int, notNull)
      .addColumn('state', int, notNull)
      .addColumn('run_id', text)
      .addColumn('sealer', text)
      .addColumn('request', text, notNull)
      .addColumn('created_at', int, notNull)
      .addColumn('touched_at', int, notNull),
    db.schema.createIndex('drafts_run').unique().on('drafts').columns(['repository_id', 'run_id']).where('run_id', 'is not', null),
    db.schema.createIndex('drafts_touched').on('drafts').column('touched_at'),
    cluster(
      db.schema
        .createTable('draft_entries')
        .addColumn('draft_id', int, notNull)
        .addColumn('path', text, notNull)
        .addColumn('kind', int, notNull)
        .addColumn('set_key', text, notNull)
        .addColumn('chunk_id', int)
        .addColumn('size', int, notNull)
        .addColumn('media_type', text, notNull)
        .addColumn('executable', int, notNull)
        .addColumn('target', text)
        .addPrimaryKeyConstraint('draft_entries_pk', ['draft_id', 'path']),
      clustered,
    ),
    db.schema
      .createIndex('draft_entries_sets')
      .on('draft_entries')
      .columns(['draft_id', 'set_key', 'path'])
      .where(sql<string>`set_key`, '<>', sql.lit('')),
    db.schema
      .createIndex('draft_entries_other')
      .on('draft_entries')
      .columns(['draft_id', 'kind', 'path'])
      .where(sql<number>`kind`, '<>', sql.lit(0)),
  ]
}

function logicalTables({ builder: db, idType: id, integerType: int, bytesType: bytes, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('tenants')
      .addColumn('id', id)
      .addColumn('name', text, (c) => c.notNull().unique()),
    db.schema
      .createTable('repositories')
      .addColumn('id', id)
      .addColumn('tenant_id', int, notNull)
      .addColumn('name', text, (c) => c.notNull().unique())
      .addColumn('policy', text, notNull)
      .addColumn('created_at', int, notNull),
    db.schema
      .createTable('packages')
      .addColumn('id', id)
      .addColumn('uuid', text, (c) => c.notNull().unique())
      .addColumn('repository_id', int, notNull)
      .addColumn('status', int, notNull)
      .addColumn('hidden', int, zero)
      .addColumn('run_id', text)
      .addColumn('type', text, notNull)
      .addColumn('producer', text)
      .addColumn('subject', text)
      .addColumn('retention_class', text)
      .addColumn('manifest_digest', bytes, notNull)
      .addColumn('media_type', text, notNull)
      .addColumn('document_digest', bytes, notNull)
      .addColumn('file_count', int, notNull)
      .addColumn('size', int, notNull)
      .addColumn('opened_at', int, notNull)
      .addColumn('finalized_at', int, notNull)
      .addColumn('expires_at', int),
    db.schema
      .createIndex('packages_manifest')
      .unique()
      .on('packages')
      .columns(['repository_id', 'manifest_digest'])
      .where(sql<number>`status`, '=', sql.lit(0)),
    db.schema.createIndex('packages_run').unique().on('packages').columns(['repository_id', 'run_id']).where('run_id', 'is not', null),
    db.schema.createIndex('packages_digest').on('packages').column('manifest_digest'),
    db.schema.createIndex('packages_repository').on('packages').columns(['repository_id', 'finalized_at', 'id']),
    ...(['finalized_at', 'producer', 'subject', 'type', 'retention_class', 'status'] as const).map((column) =>
      db.schema
        .createIndex(`packages_by_${column}`)
        .on('packages')
        .columns(column === 'finalized_at' ? ['finalized_at', 'id'] : [column, 'finalized_at', 'id']),
    ),
    db.schema.createIndex('packages_by_run_id').on('packages').columns(['run_id', 'finalized_at', 'id']),
    db.schema.createIndex('packages_expiry').on('packages').columns(['expires_at', 'id']).where('expires_at', 'is not', null),
    cluster(
      db.schema
        .createTable('package_children')
        .addColumn('package_id', int, notNull)
        .addColumn('ordinal', int, notNull)
        .addColumn('digest', bytes, notNull)
        .addColumn('set_key', text, notNull)
        .addColumn('file_count', int, notNull)
        .addColumn('size', int, notNull)
        .addColumn('retention_class', text)
        .addColumn('duration_days', int)
        .addColumn('mode', text, notNull)
        .addColumn('expires_at', int)
        .addPrimaryKeyConstraint('package_children_pk', ['package_id', 'ordinal']),
      clustered,
    ),
    db.schema.createIndex('package_children_digest').on('package_children').column('digest'),
    db.schema.createIndex('package_children_expiry').on('package_children').columns(['expires_at', 'package_id']).where('expires_at', 'is not', null),
    cluster(
      db.schema
        .createTable('package_metadata')
        .addColumn('package_id', int, notNull)
        .addColumn('key', text, notNull)
        .addColumn('value', text, notNull)
        .addPrimaryKeyConstraint('package_metadata_pk', ['package_id', 'key']),
      clustered,
    ),
    db.schema.createIndex('package_metadata_value').on('package_metadata').columns(['key', 'value', 'package_id']),
    cluster(
      db.schema
        .createTable('aliases')
        .addColumn('uuid', text, notNull)
        .addColumn('package_id', int, notNull)
        .addPrimaryKeyConstraint('aliases_pk', ['uuid']),
      clustered,
    ),
    cluster(
      db.schema
        .createTable('tags')
        .addColumn('repository_id', int, notNull)
        .addColumn('name', text, notNull)
        .addColumn('package_id', int, notNull)
        .addPrimaryKeyConstraint('tags_pk', ['repository_id', 'name']),
      clustered,
    ),
    db.schema.createIndex('tags_package').on('tags').column('package_id'),
    db.schema.createIndex('tags_name').on('tags').columns(['name', 'package_id']),
    db.schema
      .createTable('events')
      .addColumn('seq', int, (c) => c.primaryKey())
      .addColumn('id', text, (c) => c.notNull().unique())
      .addColumn('type', text, notNull)
      .addColumn('time', int, notNull)
      .addColumn('tenant', text, notNull)
      .addColumn('resource', text, notNull)
      .addColumn('actor', text, notNull)
      .addColumn('data', text, notNull)
      .addColumn('salt', bytes, notNull)
      .addColumn('hash', bytes, notNull),
    db.schema.createIndex('events_resource').on('events').columns(['resource', 'seq']),
  ]
}

type ColumnBuilder = Parameters<NonNullable<Parameters<ReturnType<Kysely<Tables>['schema']['createTable']>['addColumn']>[2]>>[0]

function notNull(column: ColumnBuilder): ColumnBuilder {
  return column.notNull()
}

function zero(column: ColumnBuilder): ColumnBuilder {
  return column.notNull().defaultTo(0)
}

function cluster<T extends { modifyEnd(modifier: NonNullable<Dialect['clustered']>): T }>(table: T, clustered: Dialect['clustered']): T {
  return clustered === undefined ? table : table.modifyEnd(clustered)
}
