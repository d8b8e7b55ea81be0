import { Type, type TString, type TUnsafe } from 'typebox'
import type { Health } from '../../store/interface.ts'
import { closed, count, oneOf, text } from './closed.ts'

/** What the service says of itself. */
export interface ServiceInfo {
  readonly name: string
  readonly version: string
  readonly storeId: string
}

/** Answer of `GET /`. */
export const serviceInfo: TUnsafe<ServiceInfo> = closed<ServiceInfo>('ServiceInfo')({
  name: text('Name of the program.'),
  version: text('Its release.'),
  storeId: text('Id of the store: a UUID.', 36),
})

/** Answer of `/livez` and `/readyz`. */
export const probeText: TString = text('One word.')

const states = ['pass', 'warn', 'fail'] as const
const check = closed<Health['checks'][string]>()({
  status: oneOf(states, 'How it is.'),
  observed: Type.Optional(text('What was seen.', 65_536)),
})

/** Answer of `/health` (draft-inadarei-api-health-check). */
export const health: TUnsafe<Health> = Type.Unsafe<Health>(
  Type.Object(
    {
      status: oneOf(states, 'The worst of the checks.'),
      checks: Type.Unsafe<Health['checks']>({ type: 'object', description: 'Checks by name.', additionalProperties: check }),
    },
    { additionalProperties: false },
  ),
)

/** What recomputing the chain of the event log found. */
export interface VerifiedLog {
  readonly events: number
  readonly head: string
  readonly mirrored: number
}

/** Answer of `POST /events/verify`. */
export const verifiedLog: TUnsafe<VerifiedLog> = closed<VerifiedLog>('VerifiedLog')({
  events: count('Events in the log.'),
  head: text('Hash of the chain up to the last event, hexadecimal.', 64),
  mirrored: count('Up to which event the log and its mirror are the same.'),
})
