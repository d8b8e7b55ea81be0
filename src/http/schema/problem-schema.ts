import { Type, type TUnsafe } from 'typebox'
import type { JsonObject } from '../../core/canonical-json.ts'
import { closed, freeObject, text } from './closed.ts'

/** An error as RFC 9457 has it. `facts` are for programs. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly retryable: boolean
  readonly facts?: JsonObject
}

/** Every answer that is no success. */
const problemSchema: TUnsafe<Problem> = closed<Problem>('Problem')(
  {
    type: text('A URI reference that names the kind of problem.'),
    title: text('The kind of problem in words.'),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: text('What happened, to what, and what to do next.', 65_536),
    code: text('Stable name of the kind of problem.', 64),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later without a change.' }),
    facts: Type.Optional(freeObject('What the message says, for programs.')),
  },
  { description: 'A problem (RFC 9457).' },
)

/** The media type of problems. */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

const problemAnswer = { description: 'A problem.', content: { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } } } as const

/** The answers of a route: those given, and problems. */
export function answers<T extends Record<number, unknown>>(successes: T): T & { readonly '4xx': unknown; readonly '5xx': unknown } {
  return { ...successes, '4xx': problemAnswer, '5xx': problemAnswer }
}

/** An answer without a body. */
export function empty(description: string): object {
  return Type.Null({ description })
}

/** An answer that is a stream of bytes of one of these media types; what has any type has any form. */
export function stream(description: string, ...mediaTypes: readonly string[]): object {
  return {
    description,
    content: Object.fromEntries(mediaTypes.map((type) => [type, { schema: type === '*/*' ? {} : { type: 'string', format: 'binary' } }])),
  }
}
