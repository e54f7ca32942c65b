/** The formats accept the same texts as those of ajv-formats. tests/flow/stalls checks that none of them takes long. */
import { expect, test } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import fc from 'fast-check'
import { addFormats } from './formats.js'

test('accepts the same addresses as ajv-formats', () => {
  const format = { type: 'string', format: 'url' }
  const [ours, theirs] = [addFormats, ajvFormats.default].map((add) => {
    const ajv = new Ajv2020()
    add(ajv)
    return ajv.compile(format)
  })
  const piece = fc.constantFrom(
    'http://',
    'ftp://',
    'a',
    'b-c',
    '.',
    'example.org',
    '1.2.3.4',
    ':',
    '80',
    '@',
    '/',
    ' ',
  )
  const text = fc.array(piece, { maxLength: 9 }).map((pieces) => `http://${pieces.join('')}`)
  const seen = new Set<boolean>()
  fc.assert(
    fc.property(text, (address) => {
      expect(ours!(address)).toBe(theirs!(address))
      seen.add(ours!(address))
    }),
    { numRuns: 2_000, examples: [['http://user:secret@example.org:80/a']] },
  )
  expect(seen.size).toBe(2)
})
