import { isJsonObject, type JsonObject, parseJson } from '../core/canonical-json.ts'
import { type Digest, digestOf, rawSha256, sha256Digest } from '../core/digest.ts'
import { AlreadyExistsError, DamagedError, InputInvalidError, MetadataInvalidError, NotFoundError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import { encodeMetadataSchema, parseSchemaName, type SchemaName } from '../core/metadata-schema.ts'
import { parseTenantName } from '../core/name.ts'
import { uuidv7 } from '../core/uuid.ts'
import { type DocumentRow, findDocument, listDocuments } from '../registry/documents.ts'
import { authorizeStore, mayReadSchemas } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { holdDocument, storeDocument } from './documents.ts'
import type { MetadataSchema, MetadataSchemas, Page, PageRequest } from './interface.ts'
import { PackageReader } from './package-reader.ts'
import { pageLimit } from './page-limit.ts'
import { applySchemaRegistered, eventData, type SchemaRegistered } from './views.ts'

/** A page ends behind the schema that reaches this, bytes. */
const PAGE_BYTES = 4 * 1024 * 1024

/** The metadata schemas of an embedded store. They belong to the store as a whole. */
export class EmbeddedSchemas implements MetadataSchemas {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  async register(name: string, schema: JsonObject): Promise<MetadataSchema> {
    const parsed = parseSchemaName(name)
    authorizeStore(this.#context, 'admin')
    const bytes = encodeMetadataSchema(schema)
    const digest = digestOf(bytes)
    const known = await findDocument(this.#context.registry.reader, 'schema', parsed)
    if (known !== undefined) return this.#same(known, digest)
    const outcome = await this.#context.schemaThread.run({ digest, schema: textOf(bytes) })
    if ('refused' in outcome) throw new InputInvalidError(`the schema cannot be used: ${outcome.refused}`)
    const stored = await storeDocument(this.#context, bytes)
    const row = await this.#context.registry.write('schema', async (session) => {
      const other = await findDocument(session, 'schema', parsed)
      if (other !== undefined) return other
      const now = this.#context.clock.now()
      const data: SchemaRegistered = { schema: parsed, digest, size: bytes.length, registeredAt: formatTime(now) }
      const id = await applySchemaRegistered(session, data)
      await holdDocument(this.#context, session, id, stored)
      session.emit({
        id: uuidv7(now),
        type: 'schema.registered',
        tenant: parseTenantName('default'),
        resource: `metadata-schemas/${parsed}`,
        actor: this.#context.actor,
        data: eventData(data),
      })
      return { id, name: parsed, digest: rawSha256(digest), created_at: now }
    })
    return this.#same(row, digest)
  }

  async get(name: string): Promise<MetadataSchema> {
    const parsed = parseSchemaName(name)
    const row = mayReadSchemas(this.#context) ? await findDocument(this.#context.registry.reader, 'schema', parsed) : undefined
    if (row === undefined) throw new NotFoundError(`no schema '${parsed}'`)
    return (await this.#read(row)).info
  }

  async list(page: PageRequest = {}): Promise<Page<MetadataSchema>> {
    const limit = pageLimit(page.limit)
    const after = page.after === undefined ? '' : decodeCursor(page.after, ['string'])[0]
    const rows = mayReadSchemas(this.#context) ? await listDocuments(this.#context.registry.reader, 'schema', after, limit + 1) : []
    const items: MetadataSchema[] = []
    let bytes = 0
    for (const row of rows.slice(0, limit)) {
      const { info, size } = await this.#read(row)
      items.push(info)
      bytes += size
      if (bytes >= PAGE_BYTES) break
    }
    const last = items.at(-1)
    return rows.length > items.length && last !== undefined ? { items, next: encodeCursor([last.name]) } : { items }
  }

  #same(row: DocumentRow, digest: Digest): Promise<MetadataSchema> {
    if (sha256Digest(row.digest) === digest) return this.#read(row).then(({ info }) => info)
    throw new AlreadyExistsError(`schema '${row.name}' is another one already; what a name stands for never changes. Register the next version`, {
      detail: { schema: row.name, digest: sha256Digest(row.digest) },
    })
  }

  async #read(row: DocumentRow): Promise<{ readonly info: MetadataSchema; readonly size: number }> {
    const digest = sha256Digest(row.digest)
    const bytes = await new PackageReader(this.#context).readSmall(digest)
    const schema = parseJson(bytes)
    if (!isJsonObject(schema)) throw new DamagedError(`schema '${row.name}' is no JSON object`, { detail: { digest } })
    return { info: { name: row.name, digest, createdAt: formatTime(row.created_at), schema }, size: bytes.length }
  }
}

/**
 * Holds what is known of a package's metadata against the schema it names.
 * @param metadata undefined: not known yet; then only the schema must be there
 * @throws InputInvalidError for a schema that is not registered or cannot be used; MetadataInvalidError with all problems
 */
export async function checkMetadata(context: StoreContext, name: string | undefined, metadata: JsonObject | undefined): Promise<void> {
  if (name === undefined) return
  const parsed: SchemaName = parseSchemaName(name)
  const row = await findDocument(context.registry.reader, 'schema', parsed)
  if (row === undefined) throw new InputInvalidError(`there is no metadata schema '${parsed}'; register it first`, { detail: { schema: parsed } })
  if (metadata === undefined) return
  const digest = sha256Digest(row.digest)
  const schema = textOf(await new PackageReader(context).readSmall(digest))
  const outcome = await context.schemaThread.run({ digest, schema, value: JSON.stringify(metadata) })
  if ('refused' in outcome) throw new InputInvalidError(`metadata cannot be held against schema '${parsed}': ${outcome.refused}`)
  const { problems } = outcome
  const [first] = problems
  if (first === undefined) return
  const where = first.path === '' ? '' : `${first.path} `
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  throw new MetadataInvalidError(`the metadata does not fit schema '${parsed}': ${where}${first.message}${more}`, {
    detail: { schema: parsed, problems },
  })
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
