import { isRegistryInUse } from '../registry/sqlite-reader.ts'
import { storeFiles } from './store-files.ts'

/** Whether another process has the store in this directory open. Where the registry is gone or no database any more, that cannot be told: `false`. */
export function isStoreInUse(directory: string): boolean {
  return isRegistryInUse(storeFiles(directory).registry)
}
