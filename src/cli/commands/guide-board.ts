import { parseRepositoryName } from '../../core/name.ts'
import type { Redactor } from '../../ports/redactor.ts'
import type { IngestedRun, IngestOptions } from '../../producers/guide-board/ingest.ts'
import type { Store } from '../../store/interface.ts'
import type { CommandContext, Define } from '../command-context.ts'
import { gather, parseDuration } from '../option-values.ts'
import { failureText, reportFailure } from '../failure.ts'
import { propertyLines } from '../render/table.ts'

interface Options {
  readonly repository: string
  readonly tag?: readonly string[]
  readonly watch?: true
  readonly settle: string
  readonly redaction?: string
  readonly workstream?: string
  readonly task?: string
}

/** Links of one ingest have this long to arrive; what does not, is delivered by whoever comes next. */
const FLUSH_MS = 5_000
const POLL_MS = 2_000

/** `guide-board`: works with runs of guide-board. */
export const define: Define = (command, act) => {
  command.description('Works with runs of guide-board.').usage('COMMAND …').helpCommand(false)
  command
    .command('ingest')
    .summary('store a run, or all runs that come')
    .description(
      'Stores a complete run of guide-board as one package: secrets taken out first, raw artifacts and summaries kept as the run wants it.',
    )
    .argument('<dir>', 'folder of the run; with --watch the folder that runs come to')
    .option('--repository <name>', 'the name the package is kept under', 'guide-board')
    .option('--tag <tag>', 'a name for the package in its repository, such as latest (repeatable)', gather)
    .option('--watch', 'store every complete run in or below the folder, and those that come, until Ctrl-C')
    .option('--settle <time>', 'with --watch: how long nothing in a run may have changed', '10s')
    .option('--redaction <file>', 'further rules by which secrets are found (see docs/guides/guide-board.md)')
    .option('--workstream <id>', 'the workstream of State Hub that the run belongs to')
    .option('--task <id>', 'the task of State Hub that the run belongs to')
    .addHelpText(
      'after',
      `
Prints the package id, the digest of its manifest, the number of its files, and whether the run was
stored before: a run is stored once, however often it is given. One that is incomplete, or does not
agree with itself, is refused with every reason, and nothing of it stays. If state_hub_url is set,
State Hub is told of the package; if it is away, that is made up for at the next run, or by serve.

Examples:
  artifact-store guide-board ingest ./runs/42
  artifact-store guide-board ingest ./runs/42 --repository boards/cmis --tag latest --json
  artifact-store guide-board ingest --watch ./runs --repository boards/cmis`,
    )
    .action(
      act(async (context, directory: string, options: Options) => {
        parseRepositoryName(options.repository)
        const settleMs = parseDuration('--settle', options.settle)
        const redactorFor = await redactors(options.redaction)
        const { ingestRun } = await import('../../producers/guide-board/ingest.ts')
        const { repository, tag, workstream, task } = options
        const place = { ...(workstream === undefined ? {} : { workstream }), ...(task === undefined ? {} : { task }) }
        const ingestOptions = (): IngestOptions => ({
          repository,
          redactor: redactorFor(),
          place,
          signal: context.signal,
          ...(tag === undefined ? {} : { tags: tag }),
        })
        const ingest = (store: Store, run: string): Promise<IngestedRun> => ingestRun(store, run, ingestOptions())
        if (options.watch === true) await watch(context, directory, settleMs, ingest)
        else await once(context, directory, ingest)
        return undefined
      }),
    )
}

type Ingest = (store: Store, run: string) => Promise<IngestedRun>

async function redactors(file: string | undefined): Promise<() => Redactor> {
  const { createRuleRedactor } = await import('../../adapters/redactor-rules/redactor-rules.ts')
  if (file === undefined) {
    const { defaultRedactionRules } = await import('../../adapters/redactor-rules/redaction-rule.ts')
    return () => createRuleRedactor(defaultRedactionRules)
  }
  const { readRedactionRules } = await import('../redaction-file.ts')
  const rules = await readRedactionRules(file)
  return () => createRuleRedactor(rules)
}

async function once(context: CommandContext, directory: string, ingest: Ingest): Promise<void> {
  const { openTelling } = await import('../telling-store.ts')
  await using telling = await openTelling(context)
  await print(context, await ingest(telling.store, directory))
  for (const { target, state, reason = '' } of (await telling.delivery?.flush({ deadlineMs: FLUSH_MS, signal: context.signal })) ?? []) {
    if (state === 'pending') context.output.note(`${target} is not told yet (${reason}); it will be at the next run, or by serve.`)
  }
}

async function watch(context: CommandContext, directory: string, settleMs: number, ingest: Ingest): Promise<void> {
  const { signal, output } = context
  const { watchRuns } = await import('../../producers/guide-board/run-watch.ts')
  const { openTelling } = await import('../telling-store.ts')
  await using telling = await openTelling(context)
  const end = new AbortController()
  const delivering = telling.delivery?.run(AbortSignal.any([signal, end.signal]))
  try {
    output.note(`Waiting for runs in ${directory} …`)
    await watchRuns(directory, {
      settleMs,
      pollMs: Math.max(100, Math.min(POLL_MS, settleMs)),
      signal,
      ingest: (run) => ingest(telling.store, run),
      onIngested: async (run, taken) => {
        await print(context, taken, run)
        await output.flush()
      },
      onRefused: async (run, error) => {
        const report = reportFailure(error)
        if (output.mode.json)
          await output.json({ directory: run, code: report.code, message: report.message, problems: error.detail['problems'] ?? [] })
        else output.stderr.write(failureText(report))
        await output.flush()
      },
    })
  } finally {
    end.abort()
    await delivering
  }
}

async function print({ output }: CommandContext, run: IngestedRun, directory?: string): Promise<void> {
  const { packageId, manifestDigest, fileCount, reusedExisting } = run
  if (output.mode.json) {
    return output.json({ ...(directory === undefined ? {} : { directory }), packageId, manifestDigest, fileCount, reusedExisting })
  }
  if (output.mode.quiet) return output.line(packageId)
  const lines = propertyLines([
    ...(directory === undefined ? [] : [['run', directory] as const]),
    ['package', packageId],
    ['manifest', manifestDigest],
    ['files', String(fileCount)],
    ['reusedExisting', reusedExisting ? 'true (the run was stored before)' : 'false'],
  ])
  for (const line of lines) await output.line(line)
}
