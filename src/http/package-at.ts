import { parsePackageId } from '../core/name.ts'
import type { PackageInfo, Store } from '../store/interface.ts'
import { MovedPackage } from './moved-package.ts'

/**
 * The package of an address.
 * @throws MovedPackage when the id stands for another package; NotFoundError; NameInvalidError
 */
export async function packageAt(store: Store, id: string): Promise<PackageInfo> {
  const info = await store.packages.get(parsePackageId(id))
  if (info.id !== id) throw new MovedPackage(id, info.id)
  return info
}
