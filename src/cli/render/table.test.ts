import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Column } from './table.ts'
import { propertyLines, tableHead, tableLine } from './table.ts'

const columns: readonly Column[] = [
  { title: 'SIZE', width: 6, align: 'right' },
  { title: 'KIND', width: 5 },
  { title: 'NAME', width: 4 },
]

describe('tables', () => {
  test('numbers are right-aligned, words left-aligned, names end the line', () => {
    assert.equal(tableHead(columns), '  SIZE  KIND   NAME')
    assert.equal(tableLine(columns, ['12', 'file', 'a']), '    12  file   a')
  })
  test('a long cell is shown whole', () => {
    assert.equal(tableLine(columns, ['1234567', 'directory', 'b']), '1234567  directory  b')
  })
  test('an empty last cell leaves no blanks behind', () => {
    assert.equal(tableLine(columns, ['1', 'file', '']), '     1  file')
  })
  test('property names are padded to the longest', () => {
    assert.deepEqual(
      propertyLines(
        [
          ['id', '1'],
          ['status', 'open'],
        ],
        '  ',
      ),
      ['  id      1', '  status  open'],
    )
  })
})
