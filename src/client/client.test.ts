import { MovableClock } from '../testing/movable-clock.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { storeSuite } from '../testing/store-suite.ts'
import { connect } from './client.ts'

const DAY_MS = 86_400_000

const clock = new MovableClock(new Date().toISOString())
const { address, store } = await serveNewStore({}, { clock })

storeSuite('a store over the network', {
  open: () => connect(address),
  pass: async (days) => {
    for (let day = 0; day < days; day += 1) {
      clock.advance(DAY_MS)
      await store.sweep({ grace: DAY_MS })
    }
  },
})
