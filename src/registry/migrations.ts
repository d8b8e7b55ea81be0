import { type SqlBool, sql } from 'kysely'
import { VersionUnsupportedError } from '../core/errors.ts'
import type { BoundQuery, Connection, Dialect } from './dialect.ts'
import { logicalTables } from './package-schema.ts'
import { retentionTables } from './retention-schema.ts'
import { cluster, type Compiled, notNull, zero } from './schema-column.ts'

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
  return [
    ...physicalTables(dialect),
    ...draftTables(dialect),
    ...idempotencyTables(dialect),
    ...deliveryTables(dialect),
    ...uploadTables(dialect),
    ...logicalTables(dialect),
    ...retentionTables(dialect),
  ]
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
      .addColumn('erase_by', int)
      .addColumn('settled_at', int)
      .addColumn('created_at', int, notNull)
      .addColumn('changed_at', int, notNull)
      .addColumn('verified_at', int),
    db.schema.createIndex('objects_unfinished').on('objects').columns(['lease_id', 'state']).where('lease_id', 'is not', null),
    db.schema
      .createIndex('objects_state')
      .on('objects')
      .columns(['state', 'id'])
      .where(sql<number>`state`, '<>', sql.lit(2)),
    ...collectedObjects(db),
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
    // Copies that still lie somewhere, and blobs whose parts are yet to be let go of.
    db.schema
      .createIndex('chunks_condemned')
      .on('chunks')
      .column('digest')
      .where(sql<number>`state`, '=', sql.lit(2)),
    db.schema
      .createIndex('chunks_dissolving')
      .on('chunks')
      .column('id')
      .where(sql<SqlBool>`state = 2 and object_id is null`),
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
    db.schema.createIndex('recipes_chunk').on('recipes').column('chunk_id'),
    cluster(
      db.schema
        .createTable('holders')
        .addColumn('kind', int, notNull)
        .addColumn('holder_id', int, notNull)
        .addColumn('target_id', int, notNull)
        .addPrimaryKeyConstraint('holders_pk', ['kind', 'holder_id', 'target_id']),
      clustered,
    ),
    db.schema.createIndex('holders_target').on('holders').columns(['target_id', 'kind', 'holder_id']),
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
    db.schema.createIndex('quarantine_digest').on('quarantine').column('digest'),
    db.schema
      .createTable('reviews')
      .addColumn('target_id', int, (c) => c.primaryKey())
      .addColumn('queued_at', int, notNull)
      .addColumn('released', int, zero),
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
    db.schema
      .createIndex('manifests_dissolving')
      .on('manifests')
      .column('id')
      .where(sql<number>`state`, '=', sql.lit(2)),
    cluster(
      db.schema
        .createTable('destructions')
        .addColumn('digest', bytes, notNull)
        .addColumn('destroyed_at', int, notNull)
        .addColumn('object_key', text, notNull)
        .addPrimaryKeyConstraint('destructions_pk', ['digest']),
      clustered,
    ),
    cluster(
      db.schema
        .createTable('strays')
        .addColumn('object_key', text, notNull)
        .addColumn('first_seen_at', int, notNull)
        .addPrimaryKeyConstraint('strays_pk', ['object_key']),
      clustered,
    ),
  ]
}

/** What the collector looks for, so that a cycle with nothing to do costs nothing however large the store is. */
function collectedObjects(db: Dialect['builder']): readonly Compiled[] {
  const isFree = sql<SqlBool>`kind = 1 and state = 2 and lease_id is null and settled_at is not null`
  return [
    db.schema
      .createIndex('objects_unsettled')
      .on('objects')
      .column('created_at')
      .where(sql<SqlBool>`kind = 1 and state < 3 and settled_at is null`),
    db.schema
      .createIndex('objects_condemned')
      .on('objects')
      .columns(['changed_at', 'id'])
      .where(sql<SqlBool>`state = 3`),
    db.schema
      .createIndex('objects_worn')
      .on('objects')
      .column('id')
      .where(sql<SqlBool>`${isFree} and dead_bytes * 5 > size * 2`),
    db.schema
      .createIndex('objects_small')
      .on('objects')
      .columns(['size', 'id'])
      .where(sql<SqlBool>`${isFree} and size < 16777216`),
    db.schema
      .createIndex('objects_erase_by')
      .on('objects')
      .column('erase_by')
      .where(sql<SqlBool>`kind = 1 and state < 3 and erase_by is not null`),
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
    db.schema
      .createIndex('drafts_staging')
      .on('drafts')
      .column('touched_at')
      .where(sql<number>`state`, '=', sql.lit(3)),
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

function uploadTables({ builder: db, idType: id, integerType: int, bytesType: bytes, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('uploads')
      .addColumn('id', id)
      .addColumn('uuid', text, (c) => c.notNull().unique())
      .addColumn('actor', text, notNull)
      .addColumn('state', int, notNull)
      .addColumn('package_uuid', text)
      .addColumn('path', text)
      .addColumn('media_type', text)
      .addColumn('executable', int, notNull)
      .addColumn('expected', bytes)
      .addColumn('length', int)
      .addColumn('offset', int, notNull)
      .addColumn('writer', text)
      .addColumn('composed_id', int)
      .addColumn('digest', bytes)
      .addColumn('created_at', int, notNull)
      .addColumn('expires_at', int, notNull),
    db.schema.createIndex('uploads_expiry').on('uploads').columns(['expires_at', 'id']),
    db.schema
      .createIndex('uploads_ended')
      .on('uploads')
      .column('id')
      .where(sql<number>`state`, '=', sql.lit(2)),
    cluster(
      db.schema
        .createTable('upload_parts')
        .addColumn('upload_id', int, notNull)
        .addColumn('position', int, notNull)
        .addColumn('chunk_id', int, notNull)
        .addColumn('start', int, notNull)
        .addPrimaryKeyConstraint('upload_parts_pk', ['upload_id', 'position']),
      clustered,
    ),
  ]
}

function idempotencyTables({ builder: db, idType: id, integerType: int, bytesType: bytes, textType: text }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('idempotency')
      .addColumn('id', id)
      .addColumn('actor', text, notNull)
      .addColumn('route', text, notNull)
      .addColumn('key', text, notNull)
      .addColumn('fingerprint', bytes, notNull)
      .addColumn('attempt', text, (c) => c.notNull().unique())
      .addColumn('lease_id', int)
      .addColumn('status', int)
      .addColumn('headers', text)
      .addColumn('body', text)
      .addColumn('began_at', int, notNull),
    db.schema.createIndex('idempotency_key').unique().on('idempotency').columns(['actor', 'route', 'key']),
    db.schema.createIndex('idempotency_began').on('idempotency').column('began_at'),
  ]
}

function deliveryTables({ builder: db, idType: id, integerType: int, textType: text }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('deliveries')
      .addColumn('target', text, (c) => c.notNull().primaryKey())
      .addColumn('log_id', text, notNull)
      .addColumn('seq', int, notNull)
      .addColumn('failures', int, notNull)
      .addColumn('reason', text)
      .addColumn('failed_at', int),
    db.schema
      .createTable('dead_letters')
      .addColumn('id', id)
      .addColumn('target', text, notNull)
      .addColumn('log_id', text, notNull)
      .addColumn('seq', int, notNull)
      .addColumn('event_id', text, notNull)
      .addColumn('reason', text, notNull)
      .addColumn('refused_at', int, notNull),
    db.schema.createIndex('dead_letters_target').on('dead_letters').columns(['target', 'id']),
  ]
}
