import { Type, type TUnsafe } from 'typebox'
import type { HoldInput, HoldSelector } from '../../core/hold.ts'
import type { HoldInfo } from '../../store/retention-interface.ts'
import { closed, oneOf, text, time } from './closed.ts'
import { packageId, repositoryName } from './name-schema.ts'
import { pageMembers } from './page-schema.ts'

const matter = text('What it is about.', 2_000)
const authority = text('On whose authority.', 2_000)
const reason = text('Why.', 2_000)
const members = {
  repository: Type.Optional(repositoryName),
  producer: Type.Optional(text('Producer.', 1_000)),
  subject: Type.Optional(text('What packages are about.', 1_000)),
  runId: Type.Optional(text('Run id.', 256)),
}
const selectorRequest = closed<NonNullable<HoldInput['selector']>>('HoldSelectorRequest')(members, {
  description: 'All that fits in everything that is said, also what comes later.',
})
const selector = closed<HoldSelector>('HoldSelector')(members)

/** Body of `POST /holds`. */
export const holdRequest: TUnsafe<HoldInput> = closed<HoldInput>('HoldRequest')({
  kind: text('`legal`, `temporary` or `event`; the last starts the clock of what it held when it is released.', 16),
  matter,
  authority,
  reason,
  packageId: Type.Optional(packageId),
  selector: Type.Optional(selectorRequest),
})

/** A hold. */
export const holdInfo: TUnsafe<HoldInfo> = closed<HoldInfo>('Hold')({
  id: text('Hold id.', 36),
  kind: oneOf(['legal', 'temporary', 'event'], 'Kind.'),
  matter,
  authority,
  reason,
  packageId: Type.Optional(packageId),
  selector: Type.Optional(selector),
  state: oneOf(['standing', 'settling', 'released'], 'An event hold that selects is settling until all clocks have started.'),
  placedAt: time('When it was placed.'),
  placedBy: text('Who placed it.', 512),
  releasedAt: Type.Optional(time('When it was released.')),
  releasedBy: Type.Optional(text('Who released it.', 512)),
  releaseReason: Type.Optional(reason),
})

/** Parameters of `/holds/{id}…`. */
export const holdParameters: TUnsafe<{ readonly id: string }> = closed<{ readonly id: string }>()({ id: text('Hold id.', 36) })

/** Query of `GET /holds`. */
export interface HoldQuery {
  readonly released?: 'true' | 'false'
  readonly limit?: number
  readonly after?: string
}

/** Query of `GET /holds`. */
export const holdQuery: TUnsafe<HoldQuery> = closed<HoldQuery>()({
  ...pageMembers,
  released: Type.Optional(oneOf(['true', 'false'], 'true: also those that were released.')),
})
