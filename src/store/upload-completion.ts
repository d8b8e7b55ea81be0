import { sha256Digest } from '../core/digest.ts'
import { DamagedError, DigestMismatchError, LeaseLostError, StateConflictError } from '../core/errors.ts'
import type { RecipeChunk } from '../ports/data-plane.ts'
import { findLiveChunk } from '../registry/chunks.ts'
import { beginComposed, fillRecipe, findDamagedPart, publishComposed } from '../registry/composed.ts'
import { findDraft } from '../registry/drafts.ts'
import { hold } from '../registry/holders.ts'
import type { Session } from '../registry/statement.ts'
import { addPart, listParts, markUploadComplete, markUploadEnded, setComposedBlob, type UploadRow } from '../registry/uploads.ts'
import { authorize } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { Intake } from './intake.ts'
import { assertClaimed, noUpload, storePart, UPLOAD_TTL_MS, type UploadClaim } from './upload-append.ts'
import { caughtUp } from './upload-digests.ts'

/** Parts that are looked up together. */
const PAGE = 1_000

/** A recipe that is filled and durable. */
interface Composed {
  readonly blob: number
  /** Where it was written down. */
  readonly objects: readonly number[]
}

/**
 * Settles an upload whose bytes are all there: what they are is compared with what was announced, they become one blob, and it is attached to the open
 * package, or held by the upload until that expires. The last step is one transaction.
 * @throws DigestMismatchError, and the upload is given up; StateConflictError when the package takes no more content; DamagedError
 */
export async function completeUpload(context: StoreContext, claim: UploadClaim): Promise<void> {
  const { registry, uploadWork } = context
  const size = claim.offset
  const prefix = await caughtUp(context, claim.id, uploadWork.digests.get(claim.id), {
    end: size,
    keep: (longer) => uploadWork.digests.set(claim.id, longer),
  })
  const digest = prefix.raw()
  await assertAnnounced(context, claim, digest)
  const parts = claim.parts === 0 ? await addEmptyPart(context, claim) : claim.parts
  const isHere = (await findLiveChunk(registry.reader, digest)) !== undefined
  const composed = parts === 1 || isHere ? undefined : await compose(context, { ...claim, parts }, digest)
  const row = await registry.write('upload-complete', async (session) => {
    const found = await assertClaimed(session, claim)
    for (const object of composed?.objects ?? []) await context.writer.assertOwns(session, object)
    const blob = await blobOf(session, digest, composed)
    if (found.package_uuid === null) await hold(session, 'upload', claim.id, blob)
    else await attach(context, session, found, { id: blob, size })
    await markUploadComplete(session, claim.id, digest, UPLOAD_TTL_MS)
    return found
  })
  uploadWork.digests.delete(claim.id)
  // The package holds the blob, and the blob its parts.
  if (row.package_uuid !== null) uploadWork.clearance.add(claim.id)
}

async function assertAnnounced({ registry, uploadWork }: StoreContext, claim: UploadClaim, digest: Uint8Array): Promise<void> {
  const expected = await registry.write('upload-check', async (session) => {
    const row = await assertClaimed(session, claim)
    if (row.expected === null || Buffer.compare(row.expected, digest) === 0) return undefined
    await markUploadEnded(session, claim.id)
    return row.expected
  })
  if (expected === undefined) return
  uploadWork.digests.delete(claim.id)
  uploadWork.clearance.add(claim.id)
  const [announced, actual] = [sha256Digest(expected), sha256Digest(digest)]
  throw new DigestMismatchError(`the bytes that arrived are ${actual}, announced was ${announced}; the upload was given up`, {
    detail: { expected: announced, actual },
  })
}

/** An upload of nothing has one part all the same: the blob of no bytes. */
async function addEmptyPart(context: StoreContext, claim: UploadClaim): Promise<number> {
  const part = await storePart(context, claim, { blocks: [] })
  await context.registry.write('upload-part', async (session) => {
    await assertClaimed(session, claim)
    const chunk = await part.name(session)
    await hold(session, 'upload', claim.id, chunk)
    await addPart(session, { upload: claim.id, position: 0, chunk, start: 0 })
  })
  return 1
}

/** Makes the parts one blob that nobody sees yet: its recipe is filled, then written down. What an earlier attempt filled is continued. */
async function compose(context: StoreContext, claim: UploadClaim, digest: Uint8Array): Promise<Composed> {
  const { registry, dataPlane } = context
  const fill = (): Promise<{ readonly blob: number; readonly isFilled: boolean }> =>
    registry.write('upload-compose', async (session) => {
      const { composed_id: begun } = await assertClaimed(session, claim)
      const blob = begun ?? (await beginComposed(session, digest, claim.offset))
      if (begun === null) await setComposedBlob(session, claim.id, blob)
      return { blob, isFilled: await fillRecipe(session, blob, claim.id, claim.parts) }
    })
  let filled = await fill()
  while (!filled.isFilled) filled = await fill()
  const objects = await dataPlane.recordRecipe({ digest, size: claim.offset, count: claim.parts, chunks: chunksOf(context, claim.id) })
  return { blob: filled.blob, objects }
}

async function* chunksOf({ registry }: StoreContext, upload: number): AsyncGenerator<RecipeChunk, void, undefined> {
  for (let after = -1; ;) {
    const page = await listParts(registry.reader, upload, after, PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.position
  }
}

/** The row by which the blob is held: one that is there, its only part, or the one that was composed. */
async function blobOf(session: Session, digest: Uint8Array, composed: Composed | undefined): Promise<number> {
  const live = await findLiveChunk(session, digest)
  if (live !== undefined) return live.id
  if (composed === undefined) throw new LeaseLostError('bytes that were here have been lost or collected meanwhile; complete the upload again')
  const damaged = await findDamagedPart(session, composed.blob)
  if (damaged !== undefined) throw new DamagedError(`a part of the upload is damaged: ${sha256Digest(damaged)}; send the file again`)
  return publishComposed(session, composed.blob, digest)
}

async function attach(
  context: StoreContext,
  session: Session,
  { uuid, package_uuid: packageId, path, media_type: mediaType, executable }: UploadRow,
  blob: { readonly id: number; readonly size: number },
): Promise<void> {
  const draft = packageId === null ? undefined : await findDraft(session, packageId)
  if (draft === undefined || path === null) {
    throw new StateConflictError(`package ${packageId ?? ''} takes no more content: it is sealed, or was given up`, { detail: { packageId } })
  }
  await authorize(context, 'write', draft.repository, () => noUpload(uuid), session)
  await new Intake(context, draft).enter(session, { path, executable: executable === 1, ...(mediaType === null ? {} : { mediaType }) }, blob)
}
