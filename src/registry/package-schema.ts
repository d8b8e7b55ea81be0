import { sql } from 'kysely'
import type { Dialect } from './dialect.ts'
import { cluster, type Compiled, notNull, zero } from './schema-column.ts'

/** The statements that make the views of the event log, apart from retention, and the log itself. */
export function logicalTables({
  builder: db,
  idType: id,
  integerType: int,
  bytesType: bytes,
  textType: text,
  clustered,
}: Dialect): readonly Compiled[] {
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
      .addColumn('public_read', int, zero)
      .addColumn('created_at', int, notNull),
    db.schema
      .createIndex('repositories_public')
      .on('repositories')
      .column('name')
      .where(sql<number>`public_read`, '=', sql.lit(1)),
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
      .addColumn('mode', text, notNull)
      .addColumn('expires_at', int),
    db.schema
      .createIndex('packages_manifest')
      .unique()
      .on('packages')
      .columns(['repository_id', 'manifest_digest'])
      .where(sql<number>`status`, '<', sql.lit(2)),
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
        .addPrimaryKeyConstraint('package_children_pk', ['package_id', 'ordinal']),
      clustered,
    ),
    db.schema.createIndex('package_children_digest').on('package_children').column('digest'),
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
      .createTable('documents')
      .addColumn('id', id)
      .addColumn('kind', int, notNull)
      .addColumn('name', text, notNull)
      .addColumn('digest', bytes, notNull)
      .addColumn('created_at', int, notNull),
    db.schema.createIndex('documents_name').unique().on('documents').columns(['kind', 'name']),
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
