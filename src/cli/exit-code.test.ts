import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { exitCodeOf } from './exit-code.ts'

test('docs/errors.md gives every code of the library the exit code that the program ends with', () => {
  const guide = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...guide.matchAll(/^\| `(\w+)` \|.*\| (\d) \| (?:yes|no) \|$/gm)]
  assert.deepEqual(Object.fromEntries(rows.map(([, code, exit]) => [code, Number(exit)])), { ...exitCodeOf })
})
