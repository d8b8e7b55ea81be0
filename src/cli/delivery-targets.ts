import { pathToFileURL } from 'node:url'
import { createWebhookSink } from '../adapters/sink-webhook/sink-webhook.ts'
import { parseWebhookSecret } from '../adapters/sink-webhook/webhook-signature.ts'
import { StoreError } from '../core/errors.ts'
import { stateHubAddress, stateHubEvents, stateHubRenderer } from '../producers/guide-board/state-hub.ts'
import { renderCloudEvent } from '../store/delivery/cloud-event-renderer.ts'
import type { DeliveryTarget } from '../store/delivery/delivery-target.ts'
import { eventTest } from '../store/event-filter.ts'
import { usageFailure } from './command-failure.ts'
import type { Configuration, Environment } from './configuration.ts'
import { displayReference, secretReader } from './secret-reference.ts'
import type { WebhookSetting } from './webhook-settings.ts'

/** Names of webhooks cannot be like this. */
const STATE_HUB = 'state-hub:guide-board'

/**
 * Everybody the configuration wants to be told of events. All of them were named by the operator, who may name what is not public.
 * @param address of the server, when there is one and once it is known
 * @throws CommandFailure (usage) for what cannot be used
 */
export function deliveryTargets(configuration: Configuration, environment: Environment, address?: () => string): readonly DeliveryTarget[] {
  const { webhooks, state_hub_url: stateHub, public_url: publicUrl } = configuration
  const targets = webhooks.map((setting) => asUsage(`[[webhooks]] "${setting.name}"`, () => webhookTarget(setting, environment)))
  if (stateHub === undefined) return targets
  const sink = asUsage('state_hub_url', () => createWebhookSink({ url: stateHubAddress(stateHub), allowPrivate: true }))
  const storeUrl = (): string => publicUrl ?? address?.() ?? pathToFileURL(configuration.home).href
  return [...targets, { name: STATE_HUB, wants: stateHubEvents, render: stateHubRenderer(storeUrl), sink }]
}

function webhookTarget({ name, url, secret, events, repository }: WebhookSetting, environment: Environment): DeliveryTarget {
  const wants = { ...(events === undefined ? {} : { types: events }), ...(repository === undefined ? {} : { repository }) }
  eventTest(wants)
  const read = secret === undefined ? undefined : secretReader(secret, environment)
  if (secret !== undefined) {
    const first = read?.()
    if (first === undefined) throw usageFailure(`there is no secret in ${displayReference(secret)}`)
    parseWebhookSecret(first)
  }
  const sink = createWebhookSink({ url, allowPrivate: true, ...(read === undefined ? {} : { secret: read }) })
  return { name, wants, render: renderCloudEvent, sink }
}

/** What is wrong with a setting is wrong usage. */
function asUsage<T>(where: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof StoreError) throw usageFailure(`${where}: ${error.message}`)
    throw error
  }
}
