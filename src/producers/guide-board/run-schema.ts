import type { JsonObject } from '../../core/canonical-json.ts'

/** Name of the schema that the metadata of a run fits. */
export const RUN_SCHEMA = 'guide-board.run.v1'

const text = { type: 'string', minLength: 1, maxLength: 1_024 }
const counts = { type: 'object', additionalProperties: { type: 'integer', minimum: 0 } }

/** What a package says of a run of guide-board (JSON Schema, draft 2020-12). */
export const runSchema: JsonObject = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'A run of guide-board',
  type: 'object',
  additionalProperties: false,
  required: [
    'run_id',
    'target_profile_ref',
    'assessment_profile_ref',
    'result_status',
    'source_commits',
    'report_paths',
    'evidence_counts',
    'finding_counts',
  ],
  properties: {
    run_id: text,
    target_profile_ref: text,
    assessment_profile_ref: text,
    result_status: text,
    source_commits: { type: 'object', additionalProperties: text },
    report_paths: { type: 'array', items: text },
    evidence_counts: counts,
    finding_counts: counts,
  },
}
