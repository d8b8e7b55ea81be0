import { InputInvalidError } from '../core/errors.ts'

const DEFAULT_LIMIT = 100
const LARGEST_LIMIT = 1_000

/** How many items a page has. @throws InputInvalidError for anything but 1 to 1,000 */
export function pageLimit(asked: number | undefined): number {
  if (asked === undefined) return DEFAULT_LIMIT
  if (!Number.isSafeInteger(asked) || asked < 1 || asked > LARGEST_LIMIT)
    throw new InputInvalidError(`a page has 1 to ${LARGEST_LIMIT} items, not ${String(asked)}`)
  return asked
}
