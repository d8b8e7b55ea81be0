import { isJsonObject, type JsonObject, type JsonValue } from '../../core/canonical-json.ts'
import { parsePackageId } from '../../core/name.ts'
import type { PackageDocument } from '../../core/package-document.ts'
import type { Renderer } from '../../store/delivery/delivery-target.ts'
import type { EventFilter } from '../../store/event-interface.ts'
import type { PackageInfo } from '../../store/interface.ts'
import type { RetentionInfo } from '../../store/retention-interface.ts'
import { PRODUCER, RUN_DIRECTORY } from './ingest.ts'
import { placeOf } from './state-hub-place.ts'

/** What State Hub is told of: packages that were sealed. */
export const stateHubEvents: EventFilter = { types: ['package.finalized'] }

/** What State Hub takes at `progress/`. It only ever adds; `detail.event_id` says which links are the same one. */
interface Progress {
  readonly summary: string
  readonly event_type: 'artifact_link'
  readonly author: string
  readonly workstream_id?: string
  readonly task_id?: string
  readonly detail: JsonObject
}

const AUTHOR = 'artifact-store'

/** The address where State Hub takes links. @param base as `STATE_HUB_URL` has it, with or without a slash at the end */
export function stateHubAddress(base: string): string {
  return `${base.replace(/\/+$/, '')}/progress/`
}

/** Says of each run of guide-board that was sealed where it is kept. @param storeUrl says where others find this store */
export function stateHubRenderer(storeUrl: () => string): Renderer {
  return async (event, store) => {
    const { packageId } = event.data
    if (typeof packageId !== 'string') return undefined
    const info = await store.packages.get(parsePackageId(packageId))
    // Of what is disposed of by now there is nothing to link to.
    if (info.producer !== PRODUCER || info.status === 'purged') return undefined
    const document = await store.packages.document(packageId)
    const { workstream, task } = placeOf(document)
    const progress: Progress = {
      summary: summaryOf(info),
      event_type: 'artifact_link',
      author: AUTHOR,
      ...(workstream === undefined ? {} : { workstream_id: workstream }),
      ...(task === undefined ? {} : { task_id: task }),
      detail: {
        event_id: event.id,
        store_url: storeUrl(),
        ...detailOf(info, document),
        retention: retentionOf(await store.retention.show(packageId)),
      },
    }
    return { contentType: 'application/json', body: Buffer.from(JSON.stringify(progress)) }
  }
}

function detailOf(info: PackageInfo, document: PackageDocument): JsonObject {
  const runDirectory = document.provenance?.environment?.[RUN_DIRECTORY]
  const { target_profile_ref = '', result_status = '', evidence_counts = {}, finding_counts = {} } = info.metadata ?? {}
  return {
    producer: PRODUCER,
    repository: info.repository,
    ...(runDirectory === undefined ? {} : { run_dir: runDirectory }),
    run_id: info.runId ?? '',
    target_profile_ref,
    result_status,
    package_id: info.id,
    manifest_digest: info.manifestDigest ?? '',
    evidence_counts,
    finding_counts,
  }
}

function retentionOf({ parts }: RetentionInfo): JsonValue {
  return parts.map(({ set, class: name, expiresAt }) => ({
    file_set: set,
    ...(name === undefined ? {} : { class: name }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
  }))
}

function summaryOf({ runId = '', subject = '', metadata = {}, fileCount }: PackageInfo): string {
  const { result_status: status, evidence_counts: counts } = metadata
  const results = isJsonObject(counts) ? Object.entries(counts).map(([result, count]) => `${JSON.stringify(count)} ${result}`) : []
  const found = results.length === 0 ? '' : `: ${results.join(', ')}`
  return `Run ${runId} of ${subject} (${typeof status === 'string' ? status : 'unknown'})${found}; ${fileCount} files kept`
}
