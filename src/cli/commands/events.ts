import type { Define } from '../command-context.ts'
import { displayPath } from '../../core/path.ts'
import type { Store } from '../../store/interface.ts'
import type { EventFilter, StoreEvent } from '../../store/event-interface.ts'
import { gather, parseLimit } from '../option-values.ts'
import type { Output } from '../output.ts'
import { formatCount, plural } from '../render/bytes.ts'
import type { Column } from '../render/table.ts'
import { tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'
import { defineDeliveries } from './event-deliveries.ts'

const columns: readonly Column[] = [
  { title: 'EVENT', width: 6, align: 'right' },
  { title: 'TIME', width: 19 },
  { title: 'TYPE', width: 18 },
  { title: 'ACTOR', width: 12 },
  { title: 'WHAT', width: 0 },
]

const PAGE = 1_000

interface EventsOptions {
  readonly after?: string
  readonly follow?: true
  readonly limit?: string
  readonly type?: readonly string[]
  readonly repository?: string
  readonly resource?: string
}

/** `events`: the log, `events deliveries` and `events verify`. */
export const define: Define = (command, act) => {
  command
    .description('Prints what happened in the store, oldest first. The log is complete, in order, and never trimmed.')
    .usage('[options]')
    .helpCommand(false)
    .option('--after <cursor>', 'only what came after this event; the cursor is a field of every event with --json')
    .option('--follow', 'go on printing events as they happen, until Ctrl-C')
    .option('--limit <n>', 'print at most this many')
    .option('--type <type>', "only events of this type, such as package.finalized; 'package.*' stands for all that begin so (repeatable)", gather)
    .option('--repository <name>', 'only what happened in this repository, and in those below it')
    .option('--resource <name>', 'only what happened to this, such as packages/<id>')
    .addHelpText(
      'after',
      `
Examples:
  artifact-store events --limit 20
  artifact-store events --follow --json
  artifact-store events --repository default/demo --type 'package.*'
  artifact-store events verify`,
    )
    .action(
      act(async ({ output, open, signal }, options: EventsOptions) => {
        const limit = options.limit === undefined ? Infinity : parseLimit('--limit', options.limit)
        await using store = await open()
        const filter = filterOf(options)
        const events =
          options.follow === true
            ? store.events.follow({ ...filter, ...(options.after === undefined ? {} : { after: options.after }), signal })
            : listed(store, filter, options.after)
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

  defineDeliveries(command, act)
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

function filterOf({ type, repository, resource }: EventsOptions): EventFilter {
  return {
    ...(type === undefined ? {} : { types: type }),
    ...(repository === undefined ? {} : { repository }),
    ...(resource === undefined ? {} : { resource }),
  }
}

async function* listed(store: Store, filter: EventFilter, from: string | undefined): AsyncGenerator<StoreEvent, void, undefined> {
  for (let after = from; ;) {
    const page = await store.events.list({ ...filter, limit: PAGE, ...(after === undefined ? {} : { after }) })
    yield* page.events
    // Where the filter let nothing through, the end is not reached yet.
    if (page.cursor === after) return
    after = page.cursor
  }
}

async function printEvent(output: Output, event: StoreEvent): Promise<void> {
  if (output.mode.json) return output.json(event)
  const { seq, time, type, actor, resource } = event
  return output.line(tableLine(columns, [seq.toString(), formatTime(time), displayPath(type), displayPath(actor), displayPath(resource)]))
}
