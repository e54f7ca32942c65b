/** A seal is valid for one stream, one text and one secret. */
import { createHmac, randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createMac, createSeal } from './seal.js'

const seal = createSeal(randomBytes(32))

test('the code equals that of createHmac', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.string({ unit: 'grapheme' }), (bytes, text) => {
      const secret = Buffer.from(bytes)
      const hmac = createHmac('sha256', secret.toString('hex')).update(text).digest('base64url')
      expect(createMac(secret)(text)).toBe(hmac)
    }),
  )
})

test('a closed text opens unchanged', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: 'grapheme' }), (stream, text) => {
      expect(seal.open(stream, seal.close(stream, text))).toBe(text)
    }),
  )
})

test('a text that was changed anywhere, closed for another stream or with another secret does not open', () => {
  const closed = seal.close('ef:{p1}:events', '{"n":1}')
  for (let at = 0; at < closed.length; at++) {
    const changed = `${closed.slice(0, at)}${closed[at] === 'A' ? 'B' : 'A'}${closed.slice(at + 1)}`
    expect({ changed, text: seal.open('ef:{p1}:events', changed) }).toEqual({ changed, text: undefined })
  }
  expect(seal.open('ef:{p2}:events', closed)).toBeUndefined()
  expect(createSeal(randomBytes(32)).open('ef:{p1}:events', closed)).toBeUndefined()
})

test('any other text does not open and is not an error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 60 })), (text) => {
      expect(seal.open('ef:{p1}:events', text)).toBeUndefined()
    }),
  )
})
