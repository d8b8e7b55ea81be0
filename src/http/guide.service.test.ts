import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { followGuide } from '../testing/guide-run.ts'
import { serviceTest } from '../testing/service-test.ts'

serviceTest('every command of the guide to HTTP does what the guide says', ['curl'], async () => {
  const { blocks, stdout, stderr } = await followGuide('http.md', { ARTIFACT_STORE_PORT: String(await freePort()) })
  assert.ok(blocks >= 16)
  assert.match(stdout, /"fileCount":2,"size":39,"reusedExisting":false/)
  assert.match(stdout, /\{"path":"new\.bin"\}/)
  assert.match(stdout, /the same files came back/)
  assert.match(stdout, /upload-offset: 6/i)
  assert.match(stdout, /"code":"metadata_invalid"/)
  assert.match(stdout, /must NOT have additional properties \('retentionClas'\)/)
  assert.match(stdout, /opened once/)
  assert.match(stderr, /^Stopping … .*\n$/)
})

/** The guide wants to know the port before the server has it. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  assert.ok(typeof address === 'object' && address !== null)
  return address.port
}
