import { type SqlBool, sql } from 'kysely'
import type { Dialect } from './dialect.ts'
import { cluster, type Compiled, notNull, zero } from './schema-column.ts'

/** The statements that make the tables of `retention-tables.ts`. Indexes on what is due keep the sweep's work apart from the size of the store. */
export function retentionTables(dialect: Dialect): readonly Compiled[] {
  return [...partTables(dialect), ...holdTables(dialect), ...planTables(dialect), ...disposalTables(dialect)]
}

function partTables({ builder: db, integerType: int, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    cluster(
      db.schema
        .createTable('package_parts')
        .addColumn('package_id', int, notNull)
        .addColumn('set_key', text, notNull)
        .addColumn('stage', int, notNull)
        .addColumn('stage_at', int, notNull)
        .addColumn('retention_class', text)
        .addColumn('duration', text)
        .addColumn('ending', text, notNull)
        .addColumn('cutoff_at', int, notNull)
        .addColumn('minimum_at', int)
        .addColumn('expires_at', int)
        .addColumn('due_at', int)
        .addColumn('sighted_at', int)
        .addColumn('blocked_by', int)
        .addPrimaryKeyConstraint('package_parts_pk', ['package_id', 'set_key']),
      clustered,
    ),
    db.schema.createIndex('parts_due').on('package_parts').columns(['stage', 'due_at', 'package_id']).where('due_at', 'is not', null),
    db.schema.createIndex('parts_sighted').on('package_parts').columns(['sighted_at', 'package_id']).where('sighted_at', 'is not', null),
    db.schema.createIndex('parts_blocked').on('package_parts').columns(['blocked_by', 'package_id']).where('blocked_by', 'is not', null),
    db.schema.createIndex('parts_class').on('package_parts').columns(['retention_class', 'package_id']).where('retention_class', 'is not', null),
    // Eligible, and nothing goes on without a plan or somebody's request.
    db.schema
      .createIndex('parts_waiting')
      .on('package_parts')
      .columns(['package_id', 'set_key'])
      .where(sql<SqlBool>`stage = 1 and due_at is null`),
    db.schema
      .createTable('retention_classes')
      .addColumn('name', text, (c) => c.primaryKey())
      .addColumn('duration', text)
      .addColumn('minimum', text)
      .addColumn('mode', text, notNull)
      .addColumn('disposition', text, notNull)
      .addColumn('changed_at', int, notNull),
  ]
}

function holdTables({ builder: db, idType: id, integerType: int, textType: text }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('holds')
      .addColumn('id', id)
      .addColumn('uuid', text, (c) => c.notNull().unique())
      .addColumn('kind', text, notNull)
      .addColumn('matter', text, notNull)
      .addColumn('authority', text, notNull)
      .addColumn('reason', text, notNull)
      .addColumn('package_uuid', text)
      .addColumn('repository', text)
      .addColumn('producer', text)
      .addColumn('subject', text)
      .addColumn('run_id', text)
      .addColumn('placed_at', int, notNull)
      .addColumn('placed_by', text, notNull)
      .addColumn('released_at', int)
      .addColumn('released_by', text)
      .addColumn('release_reason', text)
      .addColumn('settled', int, notNull)
      .addColumn('settled_to', int, zero)
      .addColumn('unblocking', int, zero),
    db.schema
      .createIndex('holds_package')
      .on('holds')
      .column('package_uuid')
      .where(sql<SqlBool>`settled = 0 and package_uuid is not null`),
    db.schema
      .createIndex('holds_selector')
      .on('holds')
      .column('id')
      .where(sql<SqlBool>`settled = 0 and package_uuid is null`),
    db.schema
      .createIndex('holds_released')
      .on('holds')
      .column('id')
      .where(sql<SqlBool>`released_at is not null and (settled = 0 or unblocking = 1)`),
  ]
}

function planTables({ builder: db, integerType: int, bytesType: bytes, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    cluster(
      db.schema
        .createTable('plans')
        .addColumn('digest', bytes, notNull)
        .addColumn('repository', text)
        .addColumn('items', int, notNull)
        .addColumn('packages', int, notNull)
        .addColumn('size', int, notNull)
        .addColumn('created_at', int, notNull)
        .addColumn('created_by', text, notNull)
        .addColumn('expires_at', int, notNull)
        .addColumn('approved_at', int)
        .addColumn('approved_by', text)
        .addColumn('reason', text)
        .addColumn('completed_at', int)
        .addColumn('approved_items', int, zero)
        .addColumn('expired', int, zero)
        .addPrimaryKeyConstraint('plans_pk', ['digest']),
      clustered,
    ),
    db.schema.createIndex('plans_created').on('plans').columns(['created_at', 'digest']),
    db.schema
      .createIndex('plans_unapproved')
      .on('plans')
      .column('expires_at')
      .where(sql<SqlBool>`approved_at is null and expired = 0`),
    db.schema
      .createIndex('plans_underway')
      .on('plans')
      .column('approved_at')
      .where(sql<SqlBool>`approved_at is not null and completed_at is null`),
  ]
}

function disposalTables({ builder: db, idType: id, integerType: int, bytesType: bytes, textType: text, clustered }: Dialect): readonly Compiled[] {
  return [
    db.schema
      .createTable('disposals')
      .addColumn('id', id)
      .addColumn('uuid', text, (c) => c.notNull().unique())
      .addColumn('package_id', int, notNull)
      .addColumn('sets', text, notNull)
      .addColumn('authority', text, notNull)
      .addColumn('plan', bytes)
      .addColumn('deleted_by', text, notNull)
      .addColumn('reason', text)
      .addColumn('deleted_at', int, notNull)
      .addColumn('purging_at', int)
      .addColumn('purged_at', int)
      .addColumn('digests', int)
      .addColumn('certificate', bytes)
      .addColumn('certified_at', int)
      .addColumn('checked_at', int, zero),
    db.schema.createIndex('disposals_package').on('disposals').columns(['package_id', 'id']),
    db.schema
      .createIndex('disposals_unreleased')
      .on('disposals')
      .column('id')
      .where(sql<SqlBool>`purging_at is not null and purged_at is null`),
    db.schema
      .createIndex('disposals_uncertified')
      .on('disposals')
      .columns(['checked_at', 'id'])
      .where(sql<SqlBool>`purged_at is not null and certified_at is null`),
    cluster(
      db.schema
        .createTable('disposal_digests')
        .addColumn('disposal_id', int, notNull)
        .addColumn('digest', bytes, notNull)
        .addColumn('size', int, notNull)
        .addPrimaryKeyConstraint('disposal_digests_pk', ['disposal_id', 'digest']),
      clustered,
    ),
    db.schema.createIndex('disposal_digests_digest').on('disposal_digests').columns(['digest', 'disposal_id']),
  ]
}
