import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_BYTES, EMPTY_DESCRIPTOR } from './descriptor.ts'
import { digestOf } from './digest.ts'

test('the empty descriptor is that of the OCI image specification', () => {
  assert.deepEqual(EMPTY_DESCRIPTOR, {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    size: 2,
  })
  assert.equal(digestOf(EMPTY_BYTES), EMPTY_DESCRIPTOR.digest)
})
