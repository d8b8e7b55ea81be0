import type { JsonObject } from '../../core/canonical-json.ts'
import { type RepositoryName, tenantOf } from '../../core/name.ts'
import { uuidv7 } from '../../core/uuid.ts'
import type { Session } from '../../registry/statement.ts'
import type { StoreContext } from '../context.ts'
import { applyRetentionEvent, type RetentionEvent } from './retention-events.ts'

/** Writes an event into the log and carries it into the views: what is said and what is done cannot differ. */
export async function recordEvent(context: Pick<StoreContext, 'actor' | 'clock'>, session: Session, event: RetentionEvent): Promise<void> {
  const data: unknown = event.data
  const repository = repositoryOf(event)
  session.emit({
    id: uuidv7(context.clock.now()),
    type: event.type,
    tenant: repository === undefined ? 'default' : tenantOf(repository),
    resource: resourceOf(event),
    actor: context.actor,
    // Sound: event data are JSON all through.
    data: data as JsonObject,
  })
  await applyRetentionEvent(session, event, context.actor)
}

function repositoryOf({ data }: RetentionEvent): RepositoryName | undefined {
  return 'repository' in data ? data.repository : undefined
}

function resourceOf({ data }: RetentionEvent): string {
  if ('holdId' in data && !('policy' in data)) return `holds/${data.holdId}`
  if ('packageId' in data) return `packages/${data.packageId ?? ''}`
  if ('plan' in data) return `retention-plans/${data.plan}`
  return `retention-classes/${data.name}`
}
