import { parseDuration } from '../core/duration.ts'
import { defaultRetentionClasses, type Disposition, type RetentionClass } from '../core/retention.ts'
import { type Session, statement } from './statement.ts'

const upsert = statement<{ name: string; duration: string | null; minimum: string | null; mode: string; disposition: string; at: number }>()(
  (p, db) =>
    db
      .insertInto('retention_classes')
      .values({
        name: p('name'),
        duration: p('duration'),
        minimum: p('minimum'),
        mode: p('mode'),
        disposition: p('disposition'),
        changed_at: p('at'),
      })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet({
          duration: p('duration'),
          minimum: p('minimum'),
          mode: p('mode'),
          disposition: p('disposition'),
          changed_at: p('at'),
        }),
      ),
)
const all = statement<object>()((_p, db) => db.selectFrom('retention_classes').selectAll().orderBy('name'))

/** Makes or changes a class. `at`: UTC milliseconds. */
export async function saveRetentionClass(
  session: Session,
  { name, duration, minimum, mode, disposition }: RetentionClass,
  at: number,
): Promise<void> {
  await session.run(upsert, { name, duration: duration ?? null, minimum: minimum ?? null, mode, disposition, at })
}

/** The classes there are: those of the beginning, as far as the operator did not change them, then the operator's own by name. */
export async function listRetentionClasses(session: Session): Promise<readonly RetentionClass[]> {
  const own = new Map(
    (await session.all(all, {})).map((row): [string, RetentionClass] => [
      row.name,
      {
        name: row.name,
        duration: row.duration === null ? undefined : parseDuration(row.duration),
        minimum: row.minimum === null ? undefined : parseDuration(row.minimum),
        // Sound: only modes and dispositions are written.
        mode: row.mode as RetentionClass['mode'],
        disposition: row.disposition as Disposition,
      },
    ]),
  )
  const known = defaultRetentionClasses.map((candidate) => {
    const changed = own.get(candidate.name)
    own.delete(candidate.name)
    return changed ?? candidate
  })
  return [...known, ...own.values()]
}
