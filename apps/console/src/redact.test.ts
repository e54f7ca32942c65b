/** Which parts of an event are hidden by default. */
import { expect, test } from '@jest/globals'
import { isSensitive } from './redact.js'

test.each<[string[], boolean]>([
  [['card'], true],
  [['card', 'number'], false],
  [['people', '0', 'name'], true],
  [['people', '0', 'city'], false],
  [['a/b', 'c~d'], true],
  [[], false],
])('%p: %p', (path, hidden) => {
  expect(isSensitive(path, ['/card', '/people/*/name', '/a~1b/c~0d'])).toBe(hidden)
})
