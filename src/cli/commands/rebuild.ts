import type { Define } from '../command-context.ts'
import type { ViewDifference } from '../../store/rebuild.ts'
import { exitCode } from '../exit-code.ts'
import { formatCount, plural } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'

/** `rebuild`: replays the log, compares, and replaces where told to. */
export const define: Define = (command, act) => {
  command
    .description(
      'Replays the event log from its first event on and compares what follows from it with the packages, tags and repositories that the registry shows.',
    )
    .addHelpText(
      'after',
      `
Prints the differences. "registry" is what is there, "log" what follows from the events. Without
--replace nothing is changed, and the command ends with 5 if they differ; with it, what follows from
the log takes their place in one transaction.

Examples:
  artifact-store rebuild
  artifact-store rebuild --replace
  artifact-store rebuild --json`,
    )
    .option('--replace', 'put what follows from the log in the place of what differs')
    .action(
      act(async ({ output, openParts }, { replace = false }: { replace?: boolean }) => {
        const [{ rebuildViews }, { closeContext }] = await Promise.all([import('../../store/rebuild.ts'), import('../../store/open-context.ts')])
        const context = await openParts()
        try {
          const { events, rows, differences, listed } = await rebuildViews(context, { replace })
          if (output.mode.json)
            await output.json({ events, rows, differences, replaced: replace && differences > 0, listed: listed.map(plainDifference) })
          else {
            for (const difference of listed) for (const line of differenceLines(difference)) await output.line(displayMessage(line))
            if (listed.length < differences) await output.line(`… and ${formatCount(differences - listed.length)} more`)
            const verdict = differences === 0 ? output.style.good('all of them there') : output.style.bad(plural(differences, 'difference'))
            const repaired = replace && differences > 0 ? '; replaced by what follows from the log' : ''
            if (!output.mode.quiet) await output.line(`Replayed ${plural(events, 'event')}; compared ${plural(rows, 'row')}: ${verdict}${repaired}`)
          }
          return differences === 0 || replace ? undefined : exitCode.verificationFailed
        } finally {
          await closeContext(context)
        }
      }),
    )
}

type Row = NonNullable<ViewDifference['found']>

function differenceLines({ view, found, expected }: ViewDifference): readonly string[] {
  if (found === undefined) return [`${view}: missing in the registry: ${rowText(expected)}`]
  if (expected === undefined) return [`${view}: not in the log: ${rowText(found)}`]
  const columns = Object.keys(found).filter((column) => valueText(found[column]) !== valueText(expected[column]))
  return [
    `${view}: ${rowText(found)}`,
    ...columns.map((column) => `  ${column}: registry ${valueText(found[column])}, log ${valueText(expected[column])}`),
  ]
}

/** The first columns of a row say which one it is. */
function rowText(row: Row | undefined): string {
  return Object.values(row ?? {})
    .slice(0, 3)
    .map(valueText)
    .join(' ')
}

function valueText(value: Row[string] | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value ?? 'nothing')
}

function plainDifference({ view, found, expected }: ViewDifference): object {
  return { view, found: plainRow(found), expected: plainRow(expected) }
}

function plainRow(row: Row | undefined): object | undefined {
  return row && Object.fromEntries(Object.entries(row).map(([column, value]) => [column, value instanceof Uint8Array ? valueText(value) : value]))
}
