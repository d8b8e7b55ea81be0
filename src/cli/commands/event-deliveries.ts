import type { TargetState } from '../../store/delivery/delivery-state.ts'
import type { Define } from '../command-context.ts'
import type { Output } from '../output.ts'
import { formatCount } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'
import { formatTime } from '../render/time.ts'

/** `events deliveries`: who outside was told what. */
export const defineDeliveries: Define = (command, act) => {
  command
    .command('deliveries')
    .summary('tell who was told of events, and what they refused')
    .description(
      'Tells how far each target outside (webhooks, State Hub) has been told of the log, what the last attempt met, and which events it refused. A target that is away is tried again for good, by serve and after each ingest; what it refused with an answer from 400 on is kept here and skipped.',
    )
    .addHelpText('after', '\nExample:\n  artifact-store events deliveries')
    .action(
      act(async ({ output, openParts }) => {
        const [{ deliveryStates }, { closeContext }] = await Promise.all([
          import('../../store/delivery/delivery-state.ts'),
          import('../../store/open-context.ts'),
        ])
        const parts = await openParts()
        try {
          const states = await deliveryStates(parts.registry.reader)
          for (const state of states) await (output.mode.json ? output.json(state) : print(output, state))
          if (states.length === 0) output.note('Nobody was told anything yet.')
        } finally {
          await closeContext(parts)
        }
        return undefined
      }),
    )
}

async function print(output: Output, { target, seq, head, failures, reason = '', failedAt = '', refused }: TargetState): Promise<void> {
  const { good, bad } = output.style
  await output.line(`${target}  told up to event ${formatCount(seq)} of ${formatCount(head)}${failures === 0 ? `  ${good('ok')}` : ''}`)
  if (failures > 0)
    await output.line(`  ${bad('away')}  ${formatCount(failures)} attempts, the last ${formatTime(failedAt)}: ${displayMessage(reason)}`)
  for (const event of refused)
    await output.line(`  ${bad('refused')}  event ${formatCount(event.seq)}, ${formatTime(event.refusedAt)}: ${displayMessage(event.reason)}`)
}
