import type { ParsedManifest } from '../core/manifest.ts'
import { childFacts } from '../core/manifest.ts'

/** Files of a package that belong to the same file sets. `size` in bytes. */
export interface PackagePart {
  /** Names of the sets; none for the files that match no set. */
  readonly fileSets: readonly string[]
  readonly fileCount: number
  readonly size: number
}

/** The parts of a package that has file sets, in the order of its manifest. A package without them has none. */
export function partsOf(manifest: ParsedManifest): readonly PackagePart[] {
  if (manifest.kind === 'image') return []
  const parts = new Map<string, PackagePart>()
  for (const child of manifest.children) {
    const facts = childFacts(child)
    // The child that carries the document has no files; a large set has several children.
    if (facts === undefined || facts.fileCount === 0) continue
    const before = parts.get(facts.setKey)
    parts.set(facts.setKey, {
      fileSets: facts.setKey === '' ? [] : facts.setKey.split(','),
      fileCount: facts.fileCount + (before?.fileCount ?? 0),
      size: facts.size + (before?.size ?? 0),
    })
  }
  return [...parts.values()]
}
