import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listsEntityTag, weighConditions } from './entity-tag.ts'

const tag = '"sha256:ab"'

test('a list names a tag among others, weak or strong, or any with a star', () => {
  for (const header of [tag, `"x", ${tag}`, `W/${tag}`, `"x",W/${tag} , "y"`, '*', ' * ']) assert.ok(listsEntityTag(header, tag), header)
  for (const header of ['', '"x"', 'sha256:ab', '"sha256:a"', '"*"', 'W/"x"']) assert.ok(!listsEntityTag(header, tag), header)
})

test('conditions are weighed in the order of the RFC', () => {
  assert.equal(weighConditions({}, tag), 'go')
  assert.equal(weighConditions({ 'if-match': '"x"', 'if-none-match': tag }, tag), 'precondition_failed')
  assert.equal(weighConditions({ 'if-match': tag, 'if-none-match': tag }, tag), 'not_modified')
  assert.equal(weighConditions({ 'if-none-match': '"x"', 'if-range': tag }, tag), 'go')
  assert.equal(weighConditions({ 'if-range': '"x"' }, tag), 'whole')
  assert.equal(weighConditions({ 'if-range': `W/${tag}` }, tag), 'whole')
  assert.equal(weighConditions({ 'if-range': 'Tue, 24 Nov 2026 00:00:00 GMT' }, tag), 'whole')
})
