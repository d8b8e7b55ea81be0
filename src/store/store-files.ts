import { stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the parts of an embedded store lie in its directory. */
export interface StoreFiles {
  readonly registry: string
  readonly objects: string
  /** Temporary files: archives that must be there as a whole before they can be read. */
  readonly spool: string
}

/** The paths in a store's directory. */
export function storeFiles(directory: string): StoreFiles {
  return { registry: join(directory, 'registry.db'), objects: join(directory, 'objects'), spool: join(directory, 'spool') }
}

/** Whether there is something under this name. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch {
    return false
  }
}
