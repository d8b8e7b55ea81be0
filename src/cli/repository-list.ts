import type { Page, PageRequest, Store } from '../store/interface.ts'
import type { Output } from './output.ts'
import { formatCount } from './render/bytes.ts'
import type { Column } from './render/table.ts'
import { tableHead, tableLine } from './render/table.ts'
import { formatTime } from './render/time.ts'

const columns: readonly Column[] = [
  { title: 'PACKAGES', width: 8, align: 'right' },
  { title: 'CREATED', width: 19 },
  { title: 'REPOSITORY', width: 0 },
]

/** Prints the repositories in order of their names. */
export async function listRepositories(output: Output, store: Store, prefix?: string): Promise<void> {
  const { json, quiet } = output.mode
  let count = 0
  for await (const repository of allPages((page) => store.repositories.list(prefix, page))) {
    if (json) await output.json(repository)
    else if (quiet) await output.line(repository.name)
    else {
      if (count === 0) await output.line(output.style.faint(tableHead(columns)))
      await output.line(tableLine(columns, [formatCount(repository.packages), formatTime(repository.createdAt), repository.name]))
    }
    count += 1
  }
  if (count === 0) output.note('There is nothing yet. Store something: artifact-store push PATH --repository NAME')
}

/** The items of all pages of a list, a page at a time. */
export async function* allPages<T>(list: (page: PageRequest) => Promise<Page<T>>): AsyncGenerator<T, void, undefined> {
  let after: string | undefined
  do {
    const page = await list(after === undefined ? {} : { after })
    yield* page.items
    after = page.next
  } while (after !== undefined)
}
