import type { Define } from '../command-context.ts'
import type { Store } from '../../store/interface.ts'
import type { ByteRange } from '../option-values.ts'
import { parseByteRange } from '../option-values.ts'
import { usageFailure } from '../command-failure.ts'

/** `cat REF PATH`: one file, or a part of it, to standard output. */
export const define: Define = (command, act) => {
  command
    .description('Prints one file of a package on standard output. Every byte is checked before it is printed.')
    .argument('<ref>', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .argument('<path>', 'path of the file in the package, as ls prints it')
    .option('--range <a-b>', 'only bytes A to B, both included, counted from 0; A- to the end; -N the last N bytes')
    .addHelpText(
      'after',
      `
The output is the file itself, so --json is refused here.

Examples:
  artifact-store cat demo/app:latest report.json
  artifact-store cat demo/app:latest disk.img --range 0-511 | hexdump -C`,
    )
    .action(
      act(async ({ output, open, signal }, ref: string, path: string, { range: text }: { readonly range?: string }) => {
        if (output.mode.json)
          throw usageFailure('cat prints the bytes of a file and cannot print JSON', 'For facts about the file: artifact-store ls REF --json')
        const range = text === undefined ? undefined : parseByteRange(text)
        await using store = await open()
        const bounds = range === undefined ? {} : await boundsOf(store, ref, path, range)
        for await (const piece of store.files.read(ref, path, { ...bounds, signal })) await output.bytes(piece)
        return undefined
      }),
    )
}

async function boundsOf(store: Store, ref: string, path: string, range: ByteRange): Promise<{ readonly start: number; readonly end?: number }> {
  if ('start' in range) return range
  const { size } = await store.files.stat(ref, path)
  return { start: Math.max(0, size - range.last) }
}
