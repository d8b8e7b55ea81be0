import { Type, type TInteger, type TOptional, type TString, type TUnsafe } from 'typebox'
import type { Page, PageRequest } from '../../store/interface.ts'
import { closed, text } from './closed.ts'

/** How a list is asked for. */
export const pageMembers: { readonly limit: TOptional<TInteger>; readonly after: TOptional<TString> } = {
  limit: Type.Optional(Type.Integer({ description: 'Most items of one page.', minimum: 1, maximum: 1_000 })),
  after: Type.Optional(text('Where the page begins: `next` of the page before. Opaque.')),
}

/** The query of a list that has no filters. */
export const pageRequest: TUnsafe<PageRequest> = closed<PageRequest>()(pageMembers)

/** One page of a list. */
export function pageOf<T>(item: TUnsafe<T>): TUnsafe<Page<T>> {
  const members = { items: Type.Array(item), next: Type.Optional(text('Give it as `after` for the next page; absent on the last one.')) }
  return Type.Unsafe<Page<T>>(Type.Object(members, { additionalProperties: false }))
}
