import { statement, type Session } from './statement.ts'

const readOne = statement<{ key: string }>()((p, db) => db.selectFrom('settings').select('value').where('key', '=', p('key')))
const writeOne = statement<{ key: string; value: string }>()((p, db) =>
  db
    .insertInto('settings')
    .values({ key: p('key'), value: p('value') })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: p('value') })),
)

/** Facts about the whole store, one a key. */
export type SettingName = 'schema-version' | 'store-id' | 'log-id' | 'mirrored-seq' | 'created-at' | 'audited-at'

/** @returns undefined when it was never set */
export async function getSetting(session: Session, key: SettingName): Promise<string | undefined> {
  return (await session.get(readOne, { key }))?.value
}

/** Sets a fact, or changes it. */
export async function setSetting(session: Session, key: SettingName, value: string): Promise<void> {
  await session.run(writeOne, { key, value })
}
