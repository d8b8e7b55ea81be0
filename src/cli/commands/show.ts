import type { Define } from '../command-context.ts'
import { parseManifest } from '../../core/manifest.ts'
import type { PackageInfo } from '../../store/interface.ts'
import { packageLines } from '../render/package.ts'
import { partsOf } from '../package-parts.ts'

/** `show REF`: everything known about a package but its files. */
export const define: Define = (command, act) => {
  command
    .description('Tells everything about a package: what it is about, its file sets, metadata, provenance, links and tags.')
    .argument('<ref>', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .option('--manifest', 'print the manifest instead, byte for byte as it was sealed')
    .addHelpText(
      'after',
      `
The files are listed by ls.

Examples:
  artifact-store show demo/app:latest
  artifact-store show demo/app:latest --manifest | sha256sum`,
    )
    .action(
      act(async ({ output, open }, ref: string, options: { readonly manifest?: true }) => {
        await using store = await open()
        if (options.manifest === true) {
          await output.bytes((await store.packages.manifest(ref)).bytes)
          return undefined
        }
        const info: PackageInfo = await store.packages.get(ref)
        if (info.status !== 'finalized') {
          // Not sealed yet, or a tombstone: there is no document and no manifest.
          if (output.mode.json) await output.json(info)
          else if (output.mode.quiet) await output.line(info.id)
          else for (const line of packageLines(info, { schemaVersion: 1 }, [], output.style)) await output.line(line)
          return undefined
        }
        const document = await store.packages.document(info.id)
        const { bytes } = await store.packages.manifest(info.id)
        const parts = partsOf(parseManifest(bytes))
        if (output.mode.json) {
          const { fileSets, links, metadataSchema, provenance } = document
          await output.json({ ...info, fileSets, parts, links, metadataSchema, provenance })
        } else if (output.mode.quiet) await output.line(info.id)
        else for (const line of packageLines(info, document, parts, output.style)) await output.line(line)
        return undefined
      }),
    )
}
