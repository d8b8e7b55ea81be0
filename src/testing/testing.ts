/** artifact-store/testing: the conformance suites that every adapter and store passes. Run them in one line from a test file of your own. */
export { backendSuite } from './backend-suite.ts'
export { dataPlaneSuite } from './data-plane-suite.ts'
export { storeSuite } from './store-suite.ts'
export type { StoreSubject } from './store-suite.ts'
export { faultyBackend } from './faulty-backend.ts'
