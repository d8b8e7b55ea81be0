import { InputInvalidError } from '../../core/errors.ts'

const DATE = /^\d{4}-\d{2}-\d{2}$/
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/

/**
 * Reads an RFC 3339 time, or a date, which means its beginning in UTC. @returns UTC milliseconds
 * @throws InputInvalidError, also for a time without an offset: nobody knows when that is
 */
export function parseTime(text: string): number {
  const time = DATE.test(text) || TIME.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new InputInvalidError(`not an RFC 3339 time: '${text.slice(0, 100)}' (such as 2030-01-31 or 2030-01-31T12:00:00Z)`)
  return time
}
