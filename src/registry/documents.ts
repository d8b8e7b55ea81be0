import { statement, type Session } from './statement.ts'
import { documentKind } from './tables.ts'

const insert = statement<{ kind: number; name: string; digest: Uint8Array; created: number }>()((p, db) =>
  db
    .insertInto('documents')
    .values({ kind: p('kind'), name: p('name'), digest: p('digest'), created_at: p('created') })
    .returning('id'),
)
const find = statement<{ kind: number; name: string }>()((p, db) =>
  db.selectFrom('documents').select(documentColumns).where('kind', '=', p('kind')).where('name', '=', p('name')),
)
const remove = statement<{ kind: number; name: string }>()((p, db) =>
  db.deleteFrom('documents').where('kind', '=', p('kind')).where('name', '=', p('name')),
)
const page = statement<{ kind: number; after: string; limit: number }>()((p, db) =>
  db.selectFrom('documents').select(documentColumns).where('kind', '=', p('kind')).where('name', '>', p('after')).orderBy('name').limit(p('limit')),
)

const documentColumns = ['id', 'name', 'digest', 'created_at'] as const

/** What a document can be. */
export type DocumentKind = keyof typeof documentKind

/** All kinds of documents. */
export const documentKinds: readonly DocumentKind[] = ['schema', 'plan', 'certificate']

/** Bytes that the store keeps under a name beside its packages. Its row, as a holder of kind `document`, keeps them. Times are UTC milliseconds. */
export interface DocumentRow {
  readonly id: number
  readonly name: string
  readonly digest: Uint8Array
  readonly created_at: number
}

/** @returns the new row's id */
export async function insertDocument(
  session: Session,
  document: { readonly kind: DocumentKind; readonly name: string; readonly digest: Uint8Array; readonly createdAt: number },
): Promise<number> {
  const { kind, name, digest, createdAt: created } = document
  const row = await session.returning(insert, { kind: documentKind[kind], name, digest, created })
  if (row === undefined) throw new TypeError('a document was not inserted')
  return row.id
}

/** The document is not there any more. Its bytes are let go of apart from this. */
export async function removeDocument(session: Session, kind: DocumentKind, name: string): Promise<void> {
  await session.run(remove, { kind: documentKind[kind], name })
}

/** By kind and name. */
export async function findDocument(session: Session, kind: DocumentKind, name: string): Promise<DocumentRow | undefined> {
  return session.get(find, { kind: documentKind[kind], name })
}

/** Documents of one kind in order of name. */
export async function listDocuments(session: Session, kind: DocumentKind, after: string, limit: number): Promise<readonly DocumentRow[]> {
  return session.all(page, { kind: documentKind[kind], after, limit })
}
