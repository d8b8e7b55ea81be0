import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { InputInvalidError } from './errors.ts'
import { checkRepositoryPolicy, parseRepositoryPolicy } from './repository-policy.ts'
import { defaultRetentionClasses } from './retention.ts'

const check = (policy: Parameters<typeof checkRepositoryPolicy>[0]): object => checkRepositoryPolicy(policy, defaultRetentionClasses)

describe("a repository's policy", () => {
  test('has one form: what is off is left out', () => {
    const all = { defaultClass: 'release-evidence', minimumClass: 'raw-evidence', publicRead: true, immutableTags: true, separationOfDuties: true }
    assert.deepEqual(check(all), all)
    assert.deepEqual(check({ publicRead: false, immutableTags: false, separationOfDuties: false }), {})
    assert.deepEqual(parseRepositoryPolicy(JSON.stringify(check(all))), all)
  })

  test('refuses members, classes and values that are none', () => {
    assert.throws(() => check({ publicread: true }), /no 'publicread'; it may have defaultClass, minimumClass/)
    assert.throws(() => check({ defaultClass: 'raw' }), /unknown retention class 'raw'/)
    for (const policy of [{ publicRead: 1 }, { immutableTags: 'true' }, { defaultClass: null }, { minimumClass: ['raw-evidence'] }]) {
      assert.throws(() => check(policy), InputInvalidError)
    }
  })

  test('cannot have a default that is kept shorter than its minimum', () => {
    assert.throws(() => check({ defaultClass: 'transient', minimumClass: 'raw-evidence' }), /shorter than the minimum/)
    assert.throws(() => check({ defaultClass: 'release-evidence', minimumClass: 'permanent-record' }), InputInvalidError)
    for (const [defaultClass, minimumClass] of [
      ['raw-evidence', 'raw-evidence'],
      ['permanent-record', 'permanent-record'],
      ['permanent-record', 'transient'],
    ] as const) {
      assert.deepEqual(check({ defaultClass, minimumClass }), { defaultClass, minimumClass })
    }
  })
})
