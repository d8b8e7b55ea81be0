import { after, before, describe } from 'node:test'
import type { Store } from '../store/interface.ts'
import { contentCases } from './store-content-cases.ts'
import { eventCases } from './store-event-cases.ts'
import { nameCases, runCases } from './store-name-cases.ts'
import { packageCases } from './store-package-cases.ts'

/** How to get a store for the suite. `open` is called once; the store is closed by the suite. */
export interface StoreSubject {
  readonly open: () => Promise<Store>
}

/** The behaviour that every store shows, embedded or over the network. Run it in one line from a test file of the adapter. */
export function storeSuite(name: string, subject: StoreSubject): void {
  describe(`${name} as a store`, () => {
    let store: Store
    before(async () => {
      store = await subject.open()
    })
    after(() => store.close())
    packageCases(() => store)
    contentCases(() => store)
    runCases(() => store)
    nameCases(() => store)
    eventCases(() => store)
  })
}
