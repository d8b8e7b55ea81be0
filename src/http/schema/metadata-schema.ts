import type { TUnsafe } from 'typebox'
import type { JsonObject } from '../../core/canonical-json.ts'
import type { MetadataSchema } from '../../store/interface.ts'
import { closed, freeObject, text, time } from './closed.ts'
import { digest } from './name-schema.ts'

const schemaName = text('Name of a schema, ending in its version, such as `report.run.v1`.')
const schemaObject = freeObject('A JSON Schema, draft 2020-12. It may refer to nothing outside itself.')

/** A schema as it is registered. */
export const metadataSchema: TUnsafe<MetadataSchema> = closed<MetadataSchema>('MetadataSchema')({
  name: schemaName,
  digest,
  createdAt: time('When it was registered.'),
  schema: schemaObject,
})

/** Body of `POST /metadata-schemas`. */
export interface NewMetadataSchema {
  readonly name: string
  readonly schema: JsonObject
}

/** Body of `POST /metadata-schemas`. */
export const newMetadataSchema: TUnsafe<NewMetadataSchema> = closed<NewMetadataSchema>('NewMetadataSchema')({
  name: schemaName,
  schema: schemaObject,
})

/** Parameters of `/metadata-schemas/{name}`. */
export interface SchemaParameters {
  readonly name: string
}

/** Parameters of `/metadata-schemas/{name}`. */
export const schemaParameters: TUnsafe<SchemaParameters> = closed<SchemaParameters>()({ name: schemaName })
