import type { Delivery } from '../store/delivery/delivery.ts'
import type { Store } from '../store/interface.ts'
import type { CommandContext } from './command-context.ts'

/** A store, and who tells others of what happens in it: a server does that itself, so that there is nobody then. */
export interface TellingStore extends AsyncDisposable {
  readonly store: Store
  readonly delivery?: Delivery
}

/** Opens the configured store together with what tells others of its events. */
export async function openTelling(context: CommandContext): Promise<TellingStore> {
  const { configuration, output } = context
  if (configuration.server !== undefined) {
    const store = await context.open()
    return { store, [Symbol.asyncDispose]: () => store.close() }
  }
  const { deliveryTargets } = await import('./delivery-targets.ts')
  const { Delivery } = await import('../store/delivery/delivery.ts')
  const { EmbeddedStore } = await import('../store/embedded-store.ts')
  const targets = deliveryTargets(configuration, output.mode.environment)
  const parts = await context.openParts()
  const store = new EmbeddedStore(parts)
  const delivery = new Delivery(parts, store, targets, { onFailure: (target, reason) => output.note(`${target} cannot be told: ${reason}`) })
  return { store, delivery, [Symbol.asyncDispose]: () => store.close() }
}
