import { InputInvalidError } from '../core/errors.ts'
import type { LoggedEvent } from '../core/event.ts'
import { isRepositoryName, parseRepositoryName, type RepositoryName } from '../core/name.ts'
import type { EventFilter, StoreEvent } from './event-interface.ts'

/** Types and prefixes of one filter at most. */
const LARGEST_TYPES = 100
/** Longest text of a filter, in characters. */
const LONGEST = 1_024

/** Says of an event whether somebody wants it. */
export type EventTest = (event: StoreEvent) => boolean

/** The repository that an event tells of; events of the whole store have none. */
export function repositoryOf({ data }: Pick<LoggedEvent, 'data'>): RepositoryName | undefined {
  const { repository } = data
  return typeof repository === 'string' && isRepositoryName(repository) ? repository : undefined
}

/** Reads a filter. @throws InputInvalidError, NameInvalidError */
export function eventTest(filter: EventFilter): EventTest {
  const tests: EventTest[] = []
  if (filter.types !== undefined) tests.push(typeTest(filter.types))
  if (filter.repository !== undefined) tests.push(repositoryTest(filter.repository))
  if (filter.resource !== undefined) {
    const resource = bounded('resource', filter.resource)
    tests.push((event) => event.resource === resource)
  }
  return (event) => tests.every((isWanted) => isWanted(event))
}

function typeTest(types: readonly string[]): EventTest {
  if (types.length === 0 || types.length > LARGEST_TYPES) throw new InputInvalidError(`a filter names 1 to ${LARGEST_TYPES} types of events`)
  const exact = new Set<string>()
  const prefixes: string[] = []
  for (const type of types) {
    const text = bounded('type', type)
    if (text.endsWith('.*')) prefixes.push(text.slice(0, -1))
    else if (text.includes('*')) throw new InputInvalidError(`not a type of events: '${text}' (a star stands at the end only, as in 'package.*')`)
    else exact.add(text)
  }
  return ({ type }) => exact.has(type) || prefixes.some((prefix) => type.startsWith(prefix))
}

/** The repository itself and those below it. */
function repositoryTest(name: string): EventTest {
  const repository = parseRepositoryName(name)
  return (event) => {
    const found = repositoryOf(event)
    return found !== undefined && (found === repository || found.startsWith(`${repository}/`))
  }
}

function bounded(what: string, text: string): string {
  if (text === '' || text.length > LONGEST) throw new InputInvalidError(`the ${what} of a filter has 1 to ${LONGEST} characters`)
  return text
}
