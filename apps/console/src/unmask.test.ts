/** Texts of others are shown as they are. */
import { expect, test } from '@jest/globals'
import { h } from 'preact'
import { unmask, unmaskPages } from './unmask.js'

test.each([
  ['an order, a\ttab and\na line', 'an order, a\ttab and\na line'],
  ['paid \u202edezufer', 'paid ⟨U+202E⟩dezufer'],
  ['\u2066a\u2069', '⟨U+2066⟩a⟨U+2069⟩'],
  ['ad\u200bmin \u200dx', 'ad⟨U+200B⟩min ⟨U+200D⟩x'],
  ['\u001b[31m\u0000\u009b', '⟨U+001B⟩[31m⟨U+0000⟩⟨U+009B⟩'],
  ['one\u2028two', 'one⟨U+2028⟩two'],
  ['a\u{e0041}\u3164', 'a⟨U+E0041⟩⟨U+3164⟩'],
  ['half \ud83d', 'half ⟨U+D83D⟩'],
  ['👩🏽\u200d🚀 ❤\ufe0f\u200d🔥', '👩🏽\u200d🚀 ❤\ufe0f\u200d🔥'],
  ['שלום, مرحبا, 你好, ñ', 'שלום, مرحبا, 你好, ñ'],
])('%j is shown as %j', (text, shown) => {
  expect(unmask(text)).toBe(shown)
})

test('every text of a page is unmasked, and what is read from right to left is kept to itself', () => {
  unmaskPages()
  const node = h('p', { title: 'a\u202e' }, 'b\u202e', ['שלום'], 7)
  expect(node.props.title).toBe('a⟨U+202E⟩')
  expect(node.props.children).toEqual(['b⟨U+202E⟩', [expect.objectContaining({ type: 'bdi' })], 7])
  expect(h('option', {}, 'שלום\u202e').props.children).toBe('שלום⟨U+202E⟩')
})
