/** Media types are parsed as in RFC 9110. */
import { describe, expect, test } from '@jest/globals'
import { readMediaType } from './media-type.js'

const json = { type: 'application/json', isUtf8: true }

test.each([
  'application/json',
  'APPLICATION/Json',
  'application/json;charset=utf-8',
  'application/json ;\t charset="UTF-8"',
  'application/json; charset="u\\tf-8"; x=y',
  'application/json; x="; charset=latin1; \\""',
  'application/json;;',
])('%s is JSON in UTF-8', (text) => {
  expect(readMediaType(text)).toEqual(json)
})

test.each(['; charset=latin1', '; charset=utf-8; charset=utf-16', ';CHARSET="utf-16"'])('%s is not UTF-8', (text) => {
  expect(readMediaType(`application/json${text}`)).toEqual({ ...json, isUtf8: false })
})

describe('is not a media type:', () => {
  test.each(['', 'json', 'application/', 'a/b c', 'a/b; charset = utf-8', 'a/b; x', 'a/b; x="y', ' a/b', 'a/b, c/d'])(
    '%j',
    (text) => {
      expect(readMediaType(text)).toBeUndefined()
    },
  )
})
