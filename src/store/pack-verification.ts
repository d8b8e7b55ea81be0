import { PackCorruptError, type StoreError } from '../core/errors.ts'
import { ENTRY_KIND } from '../data-plane/pack-format.ts'
import { readPack } from '../data-plane/pack-reader.ts'
import { abortedError } from '../ports/source.ts'
import { type ObjectKey, parseObjectKey } from '../ports/backend.ts'
import { objectStateOf } from '../registry/inspection.ts'
import { listSealedPacks } from '../registry/objects.ts'
import { objectState } from '../registry/tables.ts'
import { authorizeStore } from './authorization.ts'
import type { StoreContext } from './context.ts'
import type { VerifiedPack } from './interface.ts'
import { isDamage } from './package-reader.ts'

const PAGE = 1_000

/**
 * Checks what packs hold beside the bytes of files: headers, tables of contents and the placements of large files, from which a lost registry is
 * rebuilt. Nothing of it is needed to read a file, so that damage here is told, not healed.
 */
export async function* verifyPacks(context: StoreContext, signal: AbortSignal | undefined): AsyncGenerator<VerifiedPack, void, undefined> {
  authorizeStore(context, 'admin')
  for (let after = 0; ;) {
    const page = await listSealedPacks(context.registry.reader, after, PAGE)
    for (const { key } of page) {
      if (signal?.aborted === true) throw abortedError(signal)
      const problem = await problemOf(context, parseObjectKey(key))
      // Rewritten and deleted since it was listed.
      if (problem !== undefined && (await objectStateOf(context.registry.reader, key)) !== objectState.sealed) continue
      yield problem === undefined ? { key } : { key, problem }
    }
    const last = page.at(-1)
    if (last === undefined) return
    after = last.id
  }
}

async function problemOf({ backend, storeId }: StoreContext, key: ObjectKey): Promise<StoreError | undefined> {
  try {
    const parts = readPack(backend, key, { storeId, wants: ({ kind }) => kind === ENTRY_KIND.placement || kind === ENTRY_KIND.recipe })
    for await (const part of parts) if (part.kind === 'damage') return part.reason
    return undefined
  } catch (error) {
    if (isDamage(error) || error instanceof PackCorruptError) return error
    throw error
  }
}
