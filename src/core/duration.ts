import type { Brand } from './brand.ts'
import { InputInvalidError } from './errors.ts'

/**
 * A length of time in the one spelling of ISO 8601: `P30D`, `P1Y6M`, `PT2S`. Weeks are written as days. Years and months are calendar months, counted
 * in UTC; days are 24 hours.
 */
export type Duration = Brand<string, 'Duration'>

/** Calendar months and exact milliseconds. */
interface Amount {
  readonly months: number
  readonly milliseconds: number
}

const PATTERN = /^P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,7})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,10})S)?)?$/
const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** Longest duration: what ends beyond the year 9999 has no RFC 3339 spelling. */
const LONGEST_YEARS = 1_000
const LAST_TIME = Date.UTC(9_999, 11, 31, 23, 59, 59, 999)

/**
 * Reads a number of whole days, or an ISO 8601 duration of whole units.
 * @throws InputInvalidError for anything else, for nothing at all (`P0D`), and beyond 1,000 years
 */
export function parseDuration(value: number | string): Duration {
  const text = typeof value === 'number' ? `P${value}D` : value
  const match = PATTERN.exec(text)
  if (match === null || text.endsWith('T') || text === 'P') {
    throw new InputInvalidError(
      `not a duration: ${JSON.stringify(String(value).slice(0, 100))} (a number of days, or ISO 8601 such as P1Y, P6M or PT12H)`,
    )
  }
  const [years = 0, months = 0, weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0))
  const amount: Amount = {
    months: years * 12 + months,
    milliseconds: (weeks * 7 + days) * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS,
  }
  if (amount.months === 0 && amount.milliseconds === 0) throw new InputInvalidError(`a duration must be longer than nothing: '${text}'`)
  if (amount.months / 12 + amount.milliseconds / (365 * DAY_MS) > LONGEST_YEARS) {
    throw new InputInvalidError(`a duration is at most ${LONGEST_YEARS} years: '${text}'; a class without duration keeps for ever`)
  }
  return spell(amount)
}

/** Whole days, where a duration is a number of days and nothing else. */
export function wholeDays(duration: Duration): number | undefined {
  const { months, milliseconds } = amountOf(duration)
  return months === 0 && milliseconds % DAY_MS === 0 ? milliseconds / DAY_MS : undefined
}

/**
 * The time that lies a duration after another, UTC milliseconds. Calendar months first, then the exact rest. A day that the month does not have becomes its last one: a month after
 * 31 January is 28 or 29 February. Never beyond the year 9999.
 */
export function addDuration(time: number, duration: Duration): number {
  const { months, milliseconds } = amountOf(duration)
  return Math.min(addMonths(time, months) + milliseconds, LAST_TIME)
}

function addMonths(time: number, months: number): number {
  if (months === 0) return time
  const date = new Date(time)
  const day = date.getUTCDate()
  date.setUTCDate(1)
  date.setUTCMonth(date.getUTCMonth() + months)
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  date.setUTCDate(Math.min(day, lastDay))
  return date.getTime()
}

function amountOf(duration: Duration): Amount {
  const [years = 0, months = 0, , days = 0, hours = 0, minutes = 0, seconds = 0] = (PATTERN.exec(duration) ?? [])
    .slice(1)
    .map((part) => Number(part ?? 0))
  return { months: years * 12 + months, milliseconds: days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS }
}

function spell({ months, milliseconds }: Amount): Duration {
  const days = Math.floor(milliseconds / DAY_MS)
  const rest = milliseconds % DAY_MS
  const hours = Math.floor(rest / HOUR_MS)
  const minutes = Math.floor((rest % HOUR_MS) / MINUTE_MS)
  const seconds = Math.floor((rest % MINUTE_MS) / SECOND_MS)
  const part = (count: number, unit: string): string => (count === 0 ? '' : `${count}${unit}`)
  const date = `${part(Math.floor(months / 12), 'Y')}${part(months % 12, 'M')}${part(days, 'D')}`
  const time = `${part(hours, 'H')}${part(minutes, 'M')}${part(seconds, 'S')}`
  // Sound: this is the one spelling.
  return `P${date}${time === '' ? '' : `T${time}`}` as Duration
}
