import type { ClockInfo } from '../../store/retention-interface.ts'
import type { Define } from '../command-context.ts'
import { type ExitCode, exitCode } from '../exit-code.ts'
import type { Output } from '../output.ts'
import { propertyLines } from '../render/table.ts'

/** `retention clock` and `retention clock accept`. */
export const defineClock: Define = (command, act) => {
  const clock = command
    .command('clock')
    .summary('tell whether the clock can be trusted, or accept it')
    .description('Tells whether the clock can be trusted. While it is suspect nothing is deleted; reading and storing go on.')
    .usage('[options] [COMMAND …]')
    .helpCommand(false)
    .addHelpText(
      'after',
      `
Ends with 4 while the clock is suspect: it jumped, or runs behind the event log.

Examples:
  artifact-store retention clock
  artifact-store retention clock accept --reason "time server was wrong until 10:40"`,
    )
    .action(
      act(async ({ output, open }) => {
        await using store = await open()
        return await printClock(output, await store.retention.clock())
      }),
    )
  clock
    .command('accept')
    .summary('say that the clock is right')
    .description('Says that the clock of this machine (or of the server) is right, and lets deletion go on. Look at the clock first.')
    .requiredOption('--reason <text>', 'why it was suspect')
    .addHelpText('after', '\nExamples:\n  artifact-store retention clock accept --reason "battery replaced"')
    .action(
      act(async ({ output, open }, { reason }: { readonly reason: string }) => {
        await using store = await open()
        return await printClock(output, await store.retention.acceptClock({ reason }))
      }),
    )
}

async function printClock(output: Output, clock: ClockInfo): Promise<ExitCode | undefined> {
  const { state, trusted, wall, doubt } = clock
  if (output.mode.json) await output.json(clock)
  else if (output.mode.quiet) await output.line(state)
  else {
    const properties = [['clock', state], ['says', wall], ['trusted', trusted], ...(doubt === undefined ? [] : [['doubt', doubt] as const])] as const
    for (const line of propertyLines(properties)) await output.line(line)
  }
  return state === 'trusted' ? undefined : exitCode.refused
}
