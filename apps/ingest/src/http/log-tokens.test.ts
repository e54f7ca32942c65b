/** Tokens of the log: they are accepted only for what they were issued for, and reveal nothing. */
import { describe, expect, test } from '@jest/globals'
import { logTokensOf, MAX_CURSOR_LENGTH } from './log-tokens.js'

const tokens = logTokensOf(Buffer.alloc(32, 1))
const place = { partition: 3, after: 123_456_789_012 }
const places = Array.from({ length: 16 }, (_, partition) => ({ partition, after: partition * 1_000 }))

test('a position is read back; its token is always the same', () => {
  const token = tokens.positionOf('a', place)
  expect(token).toMatch(/^p[\w-]{30}$/)
  expect(tokens.readPosition('a', 3, token)).toBe(place.after)
  expect(tokens.positionOf('a', place)).toBe(token)
})

test('a cursor is read back; it differs each time', () => {
  const cursor = tokens.cursorOf('a', places)
  expect(tokens.readCursor('a', cursor)).toEqual(places)
  expect(tokens.cursorOf('a', places)).not.toBe(cursor)
  expect(tokens.readCursor('a', tokens.cursorOf('a', [place]))).toEqual([place])
})

test('the cursor of as many partitions as there may be fits into a request', () => {
  const all = Array.from({ length: 1_024 }, (_, partition) => ({ partition, after: 2 ** 48 - 1 }))
  const cursor = tokens.cursorOf('a', all)
  expect(cursor.length).toBeLessThanOrEqual(MAX_CURSOR_LENGTH)
  expect(tokens.readCursor('a', cursor)).toEqual(all)
})

describe('refused is', () => {
  const token = tokens.positionOf('a', place)
  const cursor = tokens.cursorOf('a', places)
  const others = logTokensOf(Buffer.alloc(32, 2))

  test('a token of another tenant, partition, kind or incarnation', () => {
    expect(tokens.readPosition('b', 3, token)).toBeUndefined()
    expect(tokens.readPosition('a', 4, token)).toBeUndefined()
    expect(tokens.readPosition('a', 3, cursor)).toBeUndefined()
    expect(tokens.readCursor('b', cursor)).toBeUndefined()
    expect(tokens.readCursor('a', token)).toBeUndefined()
    expect(others.readPosition('a', 3, token)).toBeUndefined()
    expect(others.readCursor('a', cursor)).toBeUndefined()
    expect(tokens.readPosition('a\x003', 3, tokens.positionOf('a', { partition: 33, after: 1 }))).toBeUndefined()
  })

  test('a token with any byte changed', () => {
    for (const given of [token, cursor]) {
      for (let i = 1; i < given.length; i++) {
        const changed = given.slice(0, i) + (given[i] === 'A' ? 'B' : 'A') + given.slice(i + 1)
        expect(tokens.readPosition('a', 3, changed)).toBeUndefined()
        expect(tokens.readCursor('a', changed)).toBeUndefined()
      }
    }
  })

  test.each(['', 'p', 'c', 'pAAAA', 'c????', `p${'A'.repeat(22)}`, 'p\0', 'ä'.repeat(40), `c${'A'.repeat(5_000)}`])(
    'garbage (%#)',
    (garbage) => {
      expect(tokens.readPosition('a', 3, garbage)).toBeUndefined()
      expect(tokens.readCursor('a', garbage)).toBeUndefined()
    },
  )
})

test('tokens of neighbours have nothing in common', () => {
  const bytes = [1, 2].map((after) =>
    Buffer.from(tokens.positionOf('a', { partition: 3, after }).slice(1), 'base64url'),
  )
  expect(bytes[0]!.filter((byte, i) => byte === bytes[1]![i]).length).toBeLessThan(6)
})
