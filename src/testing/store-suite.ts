import { after, before, describe } from 'node:test'
import type { Store } from '../store/interface.ts'
import { archiveCases } from './store-archive-cases.ts'
import { contentCases } from './store-content-cases.ts'
import { eventCases } from './store-event-cases.ts'
import { nameCases, runCases } from './store-name-cases.ts'
import { packageCases } from './store-package-cases.ts'
import { repositoryCases } from './store-repository-cases.ts'
import { type PassDays, retentionCases } from './store-retention-cases.ts'
import { schemaCases } from './store-schema-cases.ts'
import { uploadCases } from './store-upload-cases.ts'

/** How to get a store for the suite. `open` is called once; the store is closed by the suite. */
export interface StoreSubject {
  readonly open: () => Promise<Store>
  /** Lets days pass for it, with what is due done at the end of each; without, cases that need time are skipped. */
  readonly pass?: PassDays
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
    archiveCases(() => store)
    runCases(() => store)
    nameCases(() => store)
    repositoryCases(() => store)
    schemaCases(() => store)
    eventCases(() => store)
    uploadCases(() => store)
    retentionCases(() => store, subject.pass)
  })
}
