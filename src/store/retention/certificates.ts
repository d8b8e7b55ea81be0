import { encodeCanonical, type JsonObject } from '../../core/canonical-json.ts'
import { sha256Digest } from '../../core/digest.ts'
import { NotFoundError } from '../../core/errors.ts'
import { formatTime } from '../../core/event.ts'
import { destructionOf, forgetDestruction } from '../../registry/destructions.ts'
import {
  type Authority,
  type DisposalRow,
  dropDisposalDigests,
  findDisposal,
  isAwaitedElsewhere,
  listDisposalDigests,
  listDisposals,
  setsOf,
} from '../../registry/disposals.ts'
import { findDocument } from '../../registry/documents.ts'
import { listEventsOfResource } from '../../registry/events.ts'
import { getPackage, type PackageRow } from '../../registry/packages.ts'
import { findPlan } from '../../registry/plans.ts'
import type { Session } from '../../registry/statement.ts'
import { authorize } from '../authorization.ts'
import type { StoreContext } from '../context.ts'
import { holdDocument, storeDocument } from '../documents.ts'
import { PackageReader } from '../package-reader.ts'
import type { Certificate } from '../retention-interface.ts'
import { recordEvent } from './retention-log.ts'

/** Names the form of a certificate's document. */
const CERTIFICATE_FORMAT = 'artifact-store.deletion-certificate.v1'
/** Digests that are looked at together. */
const PAGE = 1_000

const BEFORE_ALL: Uint8Array = new Uint8Array(0)

/** What was deleted, why, on whose word, and what became of each digest. */
export class Certificates {
  readonly #context: StoreContext
  readonly #reader: PackageReader

  constructor(context: StoreContext, reader: PackageReader = new PackageReader(context)) {
    this.#context = context
    this.#reader = reader
  }

  async of(ref: string): Promise<readonly Certificate[]> {
    const row = await this.#reader.find(ref)
    const disposals = await listDisposals(this.#context.registry.reader, row.id)
    if (disposals.length === 0) throw new NotFoundError(`nothing of package ${row.uuid} was deleted`, { detail: { packageId: row.uuid } })
    return disposals.map((disposal) => certificateInfo(disposal, row)).toReversed()
  }

  async *document(deletionId: string): AsyncGenerator<Uint8Array, void, undefined> {
    const { reader } = this.#context.registry
    const missing = (): NotFoundError => new NotFoundError(`no certificate ${deletionId}`)
    const disposal = await findDisposal(reader, deletionId)
    const row = disposal === undefined ? undefined : await getPackage(reader, disposal.package_id)
    if (disposal === undefined || row === undefined) throw missing()
    await authorize(this.#context, 'read', row.repository, missing)
    if (disposal.certificate === null) throw missing()
    const digest = sha256Digest(disposal.certificate)
    yield* this.#reader.read(digest, await this.#reader.locate(digest))
  }

  /**
   * Writes the certificate of a disposal if nothing of what it let go of is on its way any more.
   * @returns whether it was written
   */
  async write(disposal: DisposalRow): Promise<boolean> {
    if (!(await this.#isSettled(disposal))) return false
    const { registry, clock } = this.#context
    const row = await getPackage(registry.reader, disposal.package_id)
    if (row === undefined) throw new TypeError('a disposal has no package')
    const at = formatTime(clock.now())
    const counts = { destroyed: 0, referenced: 0 }
    const stored = await storeDocument(this.#context, this.#lines(disposal, row, at, counts))
    await registry.write('certificate', async (session) => {
      if ((await findDisposal(session, disposal.uuid))?.certificate !== null) return
      await recordEvent(this.#context, session, {
        type: 'package.certified',
        data: {
          packageId: row.uuid,
          repository: row.repository,
          deletionId: disposal.uuid,
          certificate: sha256Digest(stored.digest),
          at,
          ...counts,
        },
      })
      const document = await findDocument(session, 'certificate', disposal.uuid)
      if (document === undefined) throw new TypeError('a certificate has no document')
      await holdDocument(this.#context, session, document.id, stored)
    })
    await this.forget(disposal)
    return true
  }

  /** Forgets what the certificate has. */
  async forget(disposal: DisposalRow): Promise<void> {
    for (;;) {
      const left = await this.#context.registry.write('certified', async (session) => {
        const page = await listDisposalDigests(session, disposal.id, BEFORE_ALL, PAGE)
        for (const { digest } of page) if (!(await isAwaitedElsewhere(session, disposal.id, digest))) await forgetDestruction(session, digest)
        const last = page.at(-1)
        if (last !== undefined) await dropDisposalDigests(session, disposal.id, last.digest)
        return page.length
      })
      if (left < PAGE) return
    }
  }

  /** Whether each digest is destroyed, or held by something else. Stops at the first that is neither. */
  async #isSettled(disposal: DisposalRow): Promise<boolean> {
    const { reader } = this.#context.registry
    for await (const { digest } of digestsOf(reader, disposal)) {
      if ((await destructionOf(reader, digest)).state === 'pending') return false
    }
    return true
  }

  /** The document. What is destroyed stays so; what is stored again meanwhile is found referenced. */
  async *#lines(
    disposal: DisposalRow,
    row: PackageRow,
    at: string,
    counts: { destroyed: number; referenced: number },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { reader } = this.#context.registry
    yield line(await this.#header(disposal, row, at))
    for await (const { digest, size } of digestsOf(reader, disposal)) {
      const found = await destructionOf(reader, digest)
      const common = { digest: sha256Digest(digest), size }
      if (found.state === 'referenced' || found.state === 'pending') {
        counts.referenced += 1
        yield line({ ...common, state: 'still referenced' })
      } else {
        counts.destroyed += 1
        const confirmed = found.state === 'destroyed' ? { destroyedAt: formatTime(found.destroyedAt), object: found.key } : {}
        yield line({ ...common, state: 'destroyed', ...confirmed })
      }
    }
  }

  /** Where the log says it. */
  async #positions(disposal: DisposalRow, row: PackageRow): Promise<readonly JsonObject[]> {
    const positions: JsonObject[] = []
    for (let after = 0; ;) {
      const page = await listEventsOfResource(this.#context.registry.reader, `packages/${row.uuid}`, after, PAGE)
      for (const { seq, type, data } of page) if (data['deletionId'] === disposal.uuid) positions.push({ seq, type })
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return positions
      after = last.seq
    }
  }

  async #header(disposal: DisposalRow, row: PackageRow, at: string): Promise<JsonObject> {
    const { storeId, logId } = this.#context
    const plan = disposal.plan === null ? undefined : await findPlan(this.#context.registry.reader, disposal.plan)
    const { packageId, repository, manifestDigest, sets, authority, reason, digests, deletedBy, deletedAt, purgingAt, releasedAt } = certificateInfo(
      disposal,
      row,
    )
    const approval =
      plan === undefined
        ? {}
        : {
            plan: sha256Digest(plan.digest),
            plannedBy: plan.created_by,
            ...(plan.approved_by === null ? {} : { approvedBy: plan.approved_by }),
            ...(plan.approved_at === null ? {} : { approvedAt: formatTime(plan.approved_at) }),
          }
    return {
      format: CERTIFICATE_FORMAT,
      storeId,
      logId,
      deletionId: disposal.uuid,
      packageId,
      repository,
      manifestDigest,
      sets,
      authority,
      deletedBy,
      deletedAt,
      certifiedAt: at,
      digests: digests ?? 0,
      events: await this.#positions(disposal, row),
      ...(purgingAt === undefined ? {} : { purgingAt }),
      ...(releasedAt === undefined ? {} : { releasedAt }),
      ...(reason === undefined ? {} : { reason }),
      ...approval,
    }
  }
}

async function* digestsOf(
  session: Session,
  disposal: DisposalRow,
): AsyncGenerator<{ readonly digest: Uint8Array; readonly size: number }, void, undefined> {
  for (let after = BEFORE_ALL; ;) {
    const page = await listDisposalDigests(session, disposal.id, after, PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    after = last.digest
  }
}

function line(value: JsonObject): Uint8Array {
  return Buffer.concat([encodeCanonical(value), Uint8Array.of(10)])
}

/** How users see a disposal. */
function certificateInfo(disposal: DisposalRow, row: PackageRow): Certificate {
  const { purging_at: purgingAt, purged_at: releasedAt, certified_at: certifiedAt } = disposal
  return {
    deletionId: disposal.uuid,
    packageId: row.uuid,
    repository: row.repository,
    manifestDigest: sha256Digest(row.manifest_digest),
    sets: setsOf(disposal),
    state: certifiedAt !== null ? 'certified' : releasedAt !== null ? 'released' : purgingAt !== null ? 'purging' : 'deleted',
    // Sound: only authorities are written.
    authority: disposal.authority as Authority,
    deletedBy: disposal.deleted_by,
    deletedAt: formatTime(disposal.deleted_at),
    ...(disposal.plan === null ? {} : { plan: sha256Digest(disposal.plan) }),
    ...(disposal.reason === null ? {} : { reason: disposal.reason }),
    ...(purgingAt === null ? {} : { purgingAt: formatTime(purgingAt) }),
    ...(releasedAt === null ? {} : { releasedAt: formatTime(releasedAt) }),
    ...(certifiedAt === null ? {} : { certifiedAt: formatTime(certifiedAt) }),
    ...(disposal.digests === null ? {} : { digests: disposal.digests }),
    ...(disposal.certificate === null ? {} : { certificate: sha256Digest(disposal.certificate) }),
  }
}
