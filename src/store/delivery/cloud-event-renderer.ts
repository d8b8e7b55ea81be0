import { toCloudEvent } from '../../core/cloud-event.ts'
import type { Renderer } from './delivery-target.ts'

/** Tells an event as it is: CloudEvents 1.0, JSON. */
export const renderCloudEvent: Renderer = (event, store) =>
  Promise.resolve({
    contentType: 'application/cloudevents+json; charset=utf-8',
    body: Buffer.from(JSON.stringify(toCloudEvent(store.id, event))),
  })
