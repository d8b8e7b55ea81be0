import { encodeCanonical, type JsonObject } from '../core/canonical-json.ts'
import type { FileSetRule } from '../core/file-set.ts'
import { packageType, parseRepositoryName, parseRunId, parseTagName, type RepositoryName, type TagName } from '../core/name.ts'
import { buildPackageDocument, type PackageDocumentInput, type PackageLink, type Provenance } from '../core/package-document.ts'
import { findClass, type RetentionClass } from '../core/retention.ts'
import type { FinalizePackage, OpenPackage } from './interface.ts'

/** An {@link OpenPackage} whose every part was checked; what an open package remembers. */
export interface OpenRequest {
  readonly repository: RepositoryName
  readonly type: string
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly retentionClass?: string
  readonly fileSets: readonly FileSetRule[]
  readonly metadata?: JsonObject
  readonly metadataSchema?: string
  readonly links?: readonly PackageLink[]
  readonly provenance?: Provenance
  readonly tags: readonly TagName[]
}

/**
 * Checks a request to open a package, all of it, before anything is done.
 * @throws InputInvalidError, NameInvalidError
 */
export function checkOpenRequest(request: OpenPackage, classes: readonly RetentionClass[]): OpenRequest {
  const { repository, type, tags, fileSets, runId, retentionClass, ...rest } = request
  for (const name of [retentionClass, ...(fileSets ?? []).map((rule) => rule.class)]) {
    if (name !== undefined) findClass(name, classes)
  }
  const checked: OpenRequest = {
    ...rest,
    repository: parseRepositoryName(repository),
    type: packageType(type ?? 'package'),
    fileSets: fileSets ?? [],
    tags: [...new Set(tags ?? [])].map(parseTagName).toSorted(),
    ...(runId === undefined ? {} : { runId: parseRunId(runId) }),
    ...(retentionClass === undefined ? {} : { retentionClass }),
  }
  buildPackageDocument(documentInput(checked, {}))
  return checked
}

/** The one spelling of a request, by which two can be compared. */
export function encodeOpenRequest(request: OpenRequest): string {
  // Sound: a request is JSON all through; its parts came from JSON-shaped interfaces.
  return Buffer.from(encodeCanonical(request as unknown as JsonObject)).toString()
}

/** Reads what {@link encodeOpenRequest} wrote. */
export function parseOpenRequest(text: string): OpenRequest {
  // Sound: only encodeOpenRequest writes this column.
  return JSON.parse(text) as OpenRequest
}

/** What the package document says, apart from links and directories of the tree. */
export function documentInput(request: OpenRequest, sealing: FinalizePackage): PackageDocumentInput {
  const { producer, subject, runId, metadataSchema, fileSets } = request
  const metadata = sealing.metadata ?? request.metadata
  const provenance = sealing.provenance ?? request.provenance
  const links = sealing.links ?? request.links
  return {
    ...(producer === undefined ? {} : { producer }),
    ...(subject === undefined ? {} : { subject }),
    ...(runId === undefined ? {} : { runId }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(metadataSchema === undefined ? {} : { metadataSchema }),
    ...(provenance === undefined ? {} : { provenance }),
    ...(links === undefined ? {} : { links }),
    ...(fileSets.length === 0 ? {} : { fileSets }),
  }
}
