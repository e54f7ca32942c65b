/** No foreign text reaches a terminal unescaped. */
import { expect, test } from '@jest/globals'
import { printable } from './printable.js'

test.each([
  ['\x1b[2J\x1b]0;title\x07', '\\u001b[2J\\u001b]0;title\\u0007'],
  ['\x9b31m\x7f\r\b', '\\u009b31m\\u007f\\u000d\\u0008'],
  ['invoice\u202efdp.exe', 'invoice\\u202efdp.exe'],
  ['\u061c\u200e\u200f\u2028\u2029\u202a\u2066\u2069', '\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a\\u2066\\u2069'],
])('%j is printed as %j', (text, printed) => {
  expect(printable(text)).toBe(printed)
})

test.each(['a\tb\nc', 'Übergröße', 'שלום', 'مرحبا', '👩‍👩‍👧', '漢字', '\\u001b'])('%j is printed unchanged', (text) => {
  expect(printable(text)).toBe(text)
})

test('JSON keeps its meaning', () => {
  const value = { 'a\u202e': ['\x7f\x9b\u2028', { b: '\x1b[0m\\' }] }
  const printed = printable(JSON.stringify(value, undefined, 2))
  expect(JSON.parse(printed)).toEqual(value)
})
