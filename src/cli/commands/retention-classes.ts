import type { Disposition, RetentionMode } from '../../core/retention.ts'
import type { RetentionClassInfo } from '../../store/retention-interface.ts'
import type { Define } from '../command-context.ts'
import type { Output } from '../output.ts'
import { plural } from '../render/bytes.ts'
import type { Column } from '../render/table.ts'
import { tableHead, tableLine } from '../render/table.ts'

const columns: readonly Column[] = [
  { title: 'KEPT', width: 9 },
  { title: 'MINIMUM', width: 9 },
  { title: 'MODE', width: 10 },
  { title: 'THEN', width: 9 },
  { title: 'CLASS', width: 0 },
]

interface SetOptions {
  readonly duration?: string
  readonly minimum?: string
  readonly mode?: RetentionMode
  readonly disposition: Disposition
}

/** `retention classes`, with `set` and `reschedule`. */
export const defineClasses: Define = (command, act) => {
  const classes = command
    .command('classes')
    .summary('list, make or change retention classes')
    .description('Lists the retention classes: how long each keeps, and what happens then.')
    .usage('[options] [COMMAND …]')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nExamples:\n  artifact-store retention classes\n  artifact-store retention classes set tax --duration P10Y --disposition review',
    )
    .action(
      act(async ({ output, open }) => {
        await using store = await open()
        await printClasses(output, await store.retention.classes())
        return undefined
      }),
    )
  classes
    .command('set')
    .summary('make or change a class')
    .description('Makes a class, or says anew what one means. What was stored before keeps what it was promised: see reschedule.')
    .argument('<name>', 'lower-case letters, digits, ".", "_" and "-"')
    .option('--duration <time>', 'how long it keeps: days, or ISO 8601 such as P1Y, P6M, PT12H; without it: for ever')
    .option('--minimum <time>', 'nobody may shorten it below this')
    .option('--mode <mode>', 'governance, or compliance: nobody may shorten it at all (default: governance)')
    .requiredOption('--disposition <word>', 'what happens then: automatic (deleted), review (deleted once approved) or keep')
    .addHelpText(
      'after',
      `
Months and years are those of the calendar, in UTC: a month after 31 January is the last day of
February.

Examples:
  artifact-store retention classes set tax --duration P10Y --minimum P6Y --disposition review
  artifact-store retention classes set nightly --duration 14 --disposition automatic`,
    )
    .action(
      act(async ({ output, open }, name: string, { duration, minimum, mode, disposition }: SetOptions) => {
        await using store = await open()
        const input = {
          name,
          disposition,
          ...(duration === undefined ? {} : { duration: length(duration) }),
          ...(minimum === undefined ? {} : { minimum: length(minimum) }),
          ...(mode === undefined ? {} : { mode }),
        }
        await printClasses(output, [await store.retention.setClass(input)])
        return undefined
      }),
    )
  classes
    .command('reschedule')
    .summary('apply a class as it is now to what is under it')
    .description('Applies what a class says now to packages that are under it. Only ever forward: nothing is kept shorter by it.')
    .argument('<name>', 'the class')
    .requiredOption('--reason <text>', 'the reason, in words')
    .addHelpText('after', '\nExamples:\n  artifact-store retention classes reschedule tax --reason "new law"')
    .action(
      act(async ({ output, open }, name: string, { reason }: { readonly reason: string }) => {
        await using store = await open()
        const { packages } = await store.retention.reschedule(name, { reason })
        if (output.mode.json) await output.json({ class: name, packages })
        else await output.line(output.mode.quiet ? String(packages) : `${plural(packages, 'package')} changed`)
        return undefined
      }),
    )
}

/** Digits alone are days. */
function length(text: string): number | string {
  return /^\d{1,7}$/.test(text) ? Number(text) : text
}

async function printClasses(output: Output, classes: readonly RetentionClassInfo[]): Promise<void> {
  const { json, quiet } = output.mode
  if (!json && !quiet) await output.line(output.style.faint(tableHead(columns)))
  for (const found of classes) {
    if (json) await output.json(found)
    else if (quiet) await output.line(found.name)
    else {
      const { duration = 'for ever', minimum = '', mode, disposition, name } = found
      await output.line(tableLine(columns, [duration, minimum, mode, disposition, name]))
    }
  }
}
