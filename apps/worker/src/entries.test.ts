/** Entries are done when the last of their events is. */
import { expect, test } from '@jest/globals'
import { createOpenEntries } from './entries.js'

test('an entry is closed with the last of its events, and no other', () => {
  const entries = createOpenEntries()
  entries.open('1-0', 2)
  entries.open('2-0', 1)
  expect(entries.close(['1-0'])).toEqual([])
  expect(entries.close(['1-0', '2-0'])).toEqual(['1-0', '2-0'])
  expect(entries.close(['1-0', '2-0'])).toEqual([])
})

test('an entry that is taken in again begins anew; one that nobody took in is none of ours', () => {
  const entries = createOpenEntries()
  entries.open('1-0', 3)
  entries.close(['1-0'])
  entries.open('1-0', 2)
  expect([entries.close(['1-0']), entries.close(['1-0'])]).toEqual([[], ['1-0']])
  expect(entries.close(['7-0'])).toEqual([])
})
