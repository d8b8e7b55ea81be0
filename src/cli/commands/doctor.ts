import type { Define } from '../command-context.ts'
import { folderOf } from '../configuration.ts'
import type { Finding } from '../../store/doctor.ts'
import { exitCode } from '../exit-code.ts'
import type { Output } from '../output.ts'
import { plural } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'
import { wrap } from '../render/wrap.ts'

/** What is left of a line of 100 characters behind status and name of the check. */
const TEXT_WIDTH = 80
const INDENT = ' '.repeat(20)

/** `doctor`: examines the store and says what to do. */
export const define: Define = (command, act) => {
  command
    .description('Examines the store and its surroundings, check by check, and says in words what to do about each thing it finds.')
    .option('--read-only', 'write nothing at all: leave out the measurement of flushes, which needs a small file')
    .addHelpText(
      'after',
      `
Looks at permissions, free space, the speed of flushes, the settings and structure of the registry,
writers that ended badly, objects that are missing or that nobody knows, references between rows,
known damage, the event log in both its copies, and the clock. It changes and deletes nothing, works
beside other commands, and also where the store cannot be opened.

Ends with 5 if a check failed; a warning alone is no failure. With --quiet it prints only what is
not in order. It does not read the stored files: artifact-store verify --all does.
What to do when something is wrong is told step by step in docs/guides/trouble.md.

Examples:
  artifact-store doctor
  artifact-store doctor --json | grep -v '"status":"ok"'`,
    )
    .action(
      act(async ({ output, configuration, signal }, options: { readonly readOnly?: true }) => {
        const { examine } = await import('../../store/doctor.ts')
        const home = folderOf(configuration)
        const { homeFrom } = configuration
        await printFinding(output, { check: 'configuration', status: 'ok', observed: `the store is the folder ${home} (from ${homeFrom})` })
        const counts = { ok: 0, warn: 0, fail: 0 }
        for await (const finding of examine(home, { measureFlushes: options.readOnly !== true })) {
          signal.throwIfAborted()
          counts[finding.status] += 1
          await printFinding(output, finding)
          await output.flush()
        }
        if (output.talkative) await output.line(verdict(output, counts))
        return counts.fail === 0 ? undefined : exitCode.verificationFailed
      }),
    )
}

async function printFinding(output: Output, finding: Finding): Promise<void> {
  const { check, status, observed, advice, examples = [] } = finding
  if (output.mode.json) return output.json(finding)
  if (output.mode.quiet && status === 'ok') return
  const mark = status === 'ok' ? output.style.good('ok  ') : status === 'warn' ? output.style.strong('WARN') : output.style.bad('FAIL')
  const [first = '', ...rest] = wrap(displayMessage(observed), TEXT_WIDTH)
  await output.line(`${mark}  ${check.padEnd(INDENT.length - 6)}${first}`)
  for (const line of rest) await output.line(`${INDENT}${line}`)
  for (const example of examples) await output.line(`${INDENT}- ${displayMessage(example)}`)
  if (advice === undefined) return
  for (const [index, line] of wrap(displayMessage(advice), TEXT_WIDTH - 3).entries())
    await output.line(`${INDENT}${index === 0 ? '-> ' : '   '}${line}`)
}

function verdict({ style }: Output, counts: Readonly<Record<Finding['status'], number>>): string {
  if (counts.fail > 0) return style.bad(`${plural(counts.fail, 'check')} failed, ${plural(counts.warn, 'warning')}.`)
  if (counts.warn > 0) return `Nothing failed, ${plural(counts.warn, 'warning')}.`
  return style.good('All is well.')
}
