import type { Access, Verb } from '../core/access.ts'
import { ANONYMOUS } from '../core/access.ts'
import { ForbiddenError, NotFoundError, type StoreError, UnauthenticatedError } from '../core/errors.ts'
import type { LoggedEvent } from '../core/event.ts'
import type { RepositoryName } from '../core/name.ts'
import { isPublicRepository } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'
import type { StoreContext } from './context.ts'
import { repositoryOf } from './event-filter.ts'

/** What deciding takes: who asks, and the registry, which knows what is public. */
export type AccessContext = Pick<StoreContext, 'access' | 'registry'>

type EventContext = Pick<StoreContext, 'access' | 'eventHub'>

/**
 * The one place that decides whether the caller may do something in a repository.
 * @param missing what would be thrown if what is asked for did not exist: a caller who may not read it gets exactly this
 * @param session inside a transaction: its session
 * @throws what `missing` makes; ForbiddenError (UnauthenticatedError for anonymous) when the caller may see it but not do this
 */
export async function authorize(
  context: AccessContext,
  verb: Verb,
  repository: RepositoryName,
  missing: () => NotFoundError = () => noRepository(repository),
  session: Session = context.registry.reader,
): Promise<void> {
  if (context.access.may(verb, repository)) return
  if (!(await mayRead(context, repository, session))) throw missing()
  if (verb !== 'read') throw refusal(context.access, `${verb} in ${repository}`)
}

/** Decides about what concerns the store as a whole. @throws ForbiddenError, UnauthenticatedError */
export function authorizeStore({ access }: AccessContext, verb: Verb): void {
  if (!access.may(verb)) throw refusal(access, `${verb} over the whole store`)
}

/** Whether the caller may see the metadata schemas: they belong to the store, and are for everybody who says who they are. */
export function mayReadSchemas({ access }: AccessContext): boolean {
  return access.readable === 'all' || access.actor !== ANONYMOUS
}

/** Whether the caller may read a repository: by a grant, or since everybody may. */
export async function mayRead(context: AccessContext, repository: RepositoryName, session: Session = context.registry.reader): Promise<boolean> {
  return context.access.may('read', repository) || isPublicRepository(session, repository)
}

/**
 * Those of these events that the caller may see: what concerns a repository, if that may be read; what concerns the store as a whole, if all may.
 * Thousands ask this of the same events: what is public may be a second old.
 */
export async function readableEvents<Event extends Pick<LoggedEvent, 'data'>>(
  context: EventContext,
  events: readonly Event[],
): Promise<readonly Event[]> {
  if (context.access.readable === 'all') return events
  const readable: Event[] = []
  for (const event of events) {
    const repository = repositoryOf(event)
    if (repository === undefined) continue
    if (context.access.may('read', repository) || (await context.eventHub.publicRepositories.has(repository))) readable.push(event)
  }
  return readable
}

/** False if {@link readableEvents} would leave this event out; what is not known yet may be readable. */
export function isPerhapsReadable({ access, eventHub }: EventContext, event: Pick<LoggedEvent, 'data'>): boolean {
  if (access.readable === 'all') return true
  const repository = repositoryOf(event)
  if (repository === undefined) return false
  return access.may('read', repository) || eventHub.publicRepositories.known(repository) !== false
}

/** What is thrown for a repository that is not there, or that the caller may not read. */
export function noRepository(repository: RepositoryName): NotFoundError {
  return new NotFoundError(`no repository '${repository}'`)
}

function refusal({ actor }: Access, what: string): StoreError {
  return actor === ANONYMOUS
    ? new UnauthenticatedError(`say who you are: nobody may ${what} without a token`)
    : new ForbiddenError(`${actor} may not ${what}`)
}
