import type { Define } from '../command-context.ts'
import { displayPath } from '../../core/path.ts'
import type { Store, StoreEvent } from '../../store/interface.ts'
import { parseLimit } from '../option-values.ts'
import type { Output } from '../output.ts'
import { formatCount, plural } from '../render/bytes.ts'
import type { Column } from '../render/table.ts'
import { tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'

const columns: readonly Column[] = [
  { title: 'EVENT', width: 6, align: 'right' },
  { title: 'TIME', width: 19 },
  { title: 'TYPE', width: 18 },
  { title: 'ACTOR', width: 12 },
  { title: 'WHAT', width: 0 },
]

interface EventsOptions {
  readonly after?: string
  readonly follow?: true
  readonly limit?: string
}

/** `events`: the log, and `events verify`. */
export const define: Define = (command, act) => {
  command
    .description('Prints what happened in the store, oldest first. The log is complete, in order, and never trimmed.')
    .usage('[options]')
    .helpCommand(false)
    .option('--after <cursor>', 'only what came after this event; the cursor is a field of every event with --json')
    .option('--follow', 'go on printing events as they happen, until Ctrl-C')
    .option('--limit <n>', 'print at most this many')
    .addHelpText(
      'after',
      `
Examples:
  artifact-store events --limit 20
  artifact-store events --follow --json
  artifact-store events verify`,
    )
    .action(
      act(async ({ output, open, signal }, options: EventsOptions) => {
        const limit = options.limit === undefined ? Infinity : parseLimit('--limit', options.limit)
        await using store = await open()
        const after = options.after === undefined ? {} : { after: options.after }
        const events = options.follow === true ? store.events.follow({ ...after, signal }) : listed(store, options.after)
        let count = 0
        for await (const event of events) {
          if (count === 0 && output.talkative) await output.line(output.style.faint(tableHead(columns)))
          await printEvent(output, event)
          if (options.follow === true) await output.flush()
          count += 1
          if (count === limit) break
        }
        return undefined
      }),
    )

  command
    .command('verify')
    .summary('check that the log was not altered')
    .description(
      'Recomputes the hash chain of the log from its first event on, compares each event with its mirrored copy among the objects, and names the first one that was edited, removed, inserted or moved.',
    )
    .addHelpText('after', '\nEnds with 5 if the log was altered.\n\nExample:\n  artifact-store events verify')
    .action(
      act(async ({ output, open }) => {
        await using store = await open()
        const { events, head, mirrored } = await store.events.verify()
        if (output.mode.json) await output.json({ events, head, mirrored })
        else if (!output.mode.quiet) {
          const copies = mirrored === events ? 'in both copies' : `up to event ${formatCount(mirrored)} in both copies`
          await output.line(`${plural(events, 'event')} ${output.style.good('as they were written')}, ${copies}; the last one hashes to ${head}`)
        }
        return undefined
      }),
    )
}

async function* listed(store: Store, from: string | undefined): AsyncGenerator<StoreEvent, void, undefined> {
  for (let after = from; ;) {
    const page = await store.events.list(after === undefined ? {} : { after })
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.cursor
  }
}

async function printEvent(output: Output, event: StoreEvent): Promise<void> {
  if (output.mode.json) return output.json(event)
  const { seq, time, type, actor, resource } = event
  return output.line(tableLine(columns, [seq.toString(), formatTime(time), displayPath(type), displayPath(actor), displayPath(resource)]))
}
