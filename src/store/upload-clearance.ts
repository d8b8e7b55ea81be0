import { clearRecipe, isComposing, removeComposing } from '../registry/composed.ts'
import { letGo } from '../registry/holders.ts'
import type { Registry } from '../registry/registry.ts'
import type { Session } from '../registry/statement.ts'
import { clearParts, composedBlobOf, listEndedUploads, removeEndedUpload } from '../registry/uploads.ts'

/** Rows that one transaction clears away. */
const ROWS_PER_COMMIT = 1_000

/**
 * Clears away the rows of uploads that have ended, or that became part of a package, in short transactions, behind the answers. May be cut short at
 * any point: what is left of an ended one is cleared by whoever opens the store next, of another one when it expires.
 */
export class UploadClearance {
  readonly #registry: Registry
  #running: Promise<void> = Promise.resolve()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** Clears an upload away soon. */
  add(upload: number): void {
    this.#running = this.#running.then(() => this.clear(upload)).catch(() => undefined)
  }

  /** Clears away what earlier processes left. */
  async addLeftOvers(): Promise<void> {
    for (const upload of await listEndedUploads(this.#registry.reader, 1_000)) this.add(upload)
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Clears an upload away. */
  async clear(upload: number): Promise<void> {
    while ((await this.#registry.write('upload-clear', (session) => clearSome(session, upload, ROWS_PER_COMMIT))) >= ROWS_PER_COMMIT);
  }
}

/**
 * Clears away up to about `limit` rows: parts, then what the upload holds (each is queued for review), then a recipe that nobody needed, then, if it
 * has ended, the upload itself.
 * @returns how many rows; less than `limit`: nothing is left
 */
async function clearSome(session: Session, upload: number, limit: number): Promise<number> {
  let cleared = await clearParts(session, upload, limit)
  if (cleared < limit) cleared += await letGo(session, 'upload', upload, limit - cleared)
  if (cleared < limit) {
    const blob = await composedBlobOf(session, upload)
    if (blob !== undefined && (await isComposing(session, blob))) {
      cleared += await clearRecipe(session, blob, limit - cleared)
      if (cleared < limit) await removeComposing(session, blob)
    }
  }
  if (cleared < limit) await removeEndedUpload(session, upload)
  return cleared
}
