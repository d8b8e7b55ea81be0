import type { Compilable, Kysely } from 'kysely'
import type { SqlValue } from './dialect.ts'
import type { Session } from './statement.ts'
import type { Tables } from './tables.ts'

/** Rows read at once. */
const PAGE = 1_000

/** A row of a view in a form that two registries can be compared by: names and UUIDs instead of row ids. */
export type ViewRow = Readonly<Record<string, SqlValue>>

type Select = (db: Kysely<Tables>, limit: number, offset: number) => Compilable<ViewRow>

/** The logical tables, each in a fixed order, with names in the place of row ids. */
const views: Readonly<Record<string, Select>> = {
  repositories: (db, limit, offset) =>
    db
      .selectFrom('repositories')
      .innerJoin('tenants', 'tenants.id', 'repositories.tenant_id')
      .select(['repositories.name', 'tenants.name as tenant', 'repositories.policy', 'repositories.public_read', 'repositories.created_at'])
      .orderBy('repositories.name')
      .limit(limit)
      .offset(offset),
  packages: (db, limit, offset) =>
    db
      .selectFrom('packages')
      .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
      .select([
        'packages.uuid',
        'repositories.name as repository',
        'packages.status',
        'packages.hidden',
        'packages.run_id',
        'packages.type',
        'packages.producer',
        'packages.subject',
        'packages.retention_class',
        'packages.manifest_digest',
        'packages.media_type',
        'packages.document_digest',
        'packages.file_count',
        'packages.size',
        'packages.opened_at',
        'packages.finalized_at',
        'packages.mode',
        'packages.expires_at',
      ])
      .orderBy('packages.uuid')
      .limit(limit)
      .offset(offset),
  children: (db, limit, offset) =>
    db
      .selectFrom('package_children as child')
      .innerJoin('packages', 'packages.id', 'child.package_id')
      .select(['packages.uuid', 'child.ordinal', 'child.digest', 'child.set_key', 'child.file_count', 'child.size'])
      .orderBy('packages.uuid')
      .orderBy('child.ordinal')
      .limit(limit)
      .offset(offset),
  metadata: (db, limit, offset) =>
    db
      .selectFrom('package_metadata as entry')
      .innerJoin('packages', 'packages.id', 'entry.package_id')
      .select(['packages.uuid', 'entry.key', 'entry.value'])
      .orderBy('packages.uuid')
      .orderBy('entry.key')
      .limit(limit)
      .offset(offset),
  aliases: (db, limit, offset) =>
    db
      .selectFrom('aliases')
      .innerJoin('packages', 'packages.id', 'aliases.package_id')
      .select(['aliases.uuid', 'packages.uuid as package'])
      .orderBy('aliases.uuid')
      .limit(limit)
      .offset(offset),
  parts: (db, limit, offset) =>
    db
      .selectFrom('package_parts as part')
      .innerJoin('packages', 'packages.id', 'part.package_id')
      .select([
        'packages.uuid',
        'part.set_key',
        'part.stage',
        'part.stage_at',
        'part.retention_class',
        'part.duration',
        'part.ending',
        'part.cutoff_at',
        'part.minimum_at',
        'part.expires_at',
      ])
      .orderBy('packages.uuid')
      .orderBy('part.set_key')
      .limit(limit)
      .offset(offset),
  classes: (db, limit, offset) => db.selectFrom('retention_classes').selectAll().orderBy('name').limit(limit).offset(offset),
  holds: (db, limit, offset) =>
    db
      .selectFrom('holds')
      .select([
        'holds.uuid',
        'holds.kind',
        'holds.matter',
        'holds.authority',
        'holds.reason',
        'holds.package_uuid',
        'holds.repository',
        'holds.producer',
        'holds.subject',
        'holds.run_id',
        'holds.placed_at',
        'holds.placed_by',
        'holds.released_at',
        'holds.released_by',
        'holds.release_reason',
        'holds.settled',
      ])
      .orderBy('holds.uuid')
      .limit(limit)
      .offset(offset),
  plans: (db, limit, offset) => db.selectFrom('plans').selectAll().orderBy('digest').limit(limit).offset(offset),
  disposals: (db, limit, offset) =>
    db
      .selectFrom('disposals as disposal')
      .innerJoin('packages', 'packages.id', 'disposal.package_id')
      .select([
        'disposal.uuid',
        'packages.uuid as package',
        'disposal.sets',
        'disposal.authority',
        'disposal.plan',
        'disposal.deleted_by',
        'disposal.reason',
        'disposal.deleted_at',
        'disposal.purging_at',
        'disposal.purged_at',
        'disposal.digests',
        'disposal.certificate',
        'disposal.certified_at',
      ])
      .orderBy('disposal.uuid')
      .limit(limit)
      .offset(offset),
  documents: (db, limit, offset) =>
    db
      .selectFrom('documents')
      .select(['documents.name', 'documents.kind', 'documents.digest', 'documents.created_at'])
      .orderBy('documents.name')
      .orderBy('documents.kind')
      .limit(limit)
      .offset(offset),
  tags: (db, limit, offset) =>
    db
      .selectFrom('tags')
      .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
      .innerJoin('packages', 'packages.id', 'tags.package_id')
      .select(['repositories.name as repository', 'tags.name', 'packages.uuid as package'])
      .orderBy('repositories.name')
      .orderBy('tags.name')
      .limit(limit)
      .offset(offset),
}

/** Names of the views. */
export const viewNames: readonly string[] = Object.keys(views)

/** The rows of one view in its order. */
export async function* viewRows(session: Session, view: string): AsyncGenerator<ViewRow, void, undefined> {
  const select = views[view]
  if (select === undefined) throw new TypeError(`there is no view '${view}'`)
  for (let offset = 0; ; offset += PAGE) {
    const { sql, parameters } = select(session.dialect.builder, PAGE, offset).compile()
    // Sound: the only parameters are limit and offset.
    const page = await session.query<ViewRow>({ sql, parameters: parameters as readonly SqlValue[] })
    yield* page
    if (page.length < PAGE) return
  }
}
