/** JSON is read like JSON.parse reads it, and every value that this would change is found with its place. */
import { isExactNumber } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Flawed, parseExactly } from './exact-json.js'

/** The place of the first flaw in the text of an object; undefined if there is none. */
const flawOf = (text: string) => {
  const value = parseExactly(text)
  return value instanceof Flawed ? value.problems[0]!.pointer : undefined
}

describe('a flaw is found:', () => {
  test.each<[string, string, string]>([
    ['a repeated name', '{"a":{"b":1,"c":2,"b":1}}', '/a/b'],
    ['a repeated name, once escaped', '{"a":1,"\\u0061":2}', '/a'],
    ['a repeated name, far apart', `{"x":1,${'"y":{"x":[{"x":2}]},'.replace('y', 'z')}"x" \n:3}`, '/x'],
    ['a repeated name among many', `{${[...Array(100).keys(), 7].map((n) => `"n${n}":0`)}}`, '/n7'],
    ['the empty name twice', '{"":1,"":2}', '/'],
    ['2^53 + 1', '{"a":[9007199254740993]}', '/a/0'],
    ['2^53, which could be rounded', '{"a":9007199254740992}', '/a'],
    ['-2^53 - 1', '{"a":-9007199254740993}', '/a'],
    ['a number too large for a double', '{"a":1e400}', '/a'],
    ['a number too small for a double', '{"a":0.1e-400}', '/a'],
    ['a number too small in many digits', `{"a":0.${'0'.repeat(400)}1}`, '/a'],
    ['more digits than a double has', '{"a":0.1234567890123456789}', '/a'],
    ['a digit that would be lost', '{"a":1.00000000000000001}', '/a'],
    ['money that would be rounded', '{"a":1234567890123.4567}', '/a'],
    ['NUL', '{"a":"\\u0000"}', '/a'],
    ['NUL in a name', '{"a\\u0000":1}', '/a\0'],
    ['half of a surrogate pair', '{"a":["x","\\uDe00"]}', '/a/1'],
    ['half of a surrogate pair after an escaped backslash', '{"a":"\\\\ud83d\\ude00"}', '/a'],
    ['half of a surrogate pair behind a pair', '{"a":"\\ud83d\\ude00\\ude00"}', '/a'],
    ['half of a surrogate pair before a pair', '{"a":"\\ud83d\\ud83d\\ude00"}', '/a'],
    ['33 levels', `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`, '/a'.repeat(32)],
    ['65 levels', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`, '/a'.repeat(32)],
    ['__proto__', '{"a":[{"__proto__":1}]}', '/a/0/__proto__'],
    ['__proto__, escaped', '{"\\u005f_proto__":1}', '/__proto__'],
    ['constructor.prototype', '{"constructor":{"x":1,"prototype":1}}', '/constructor/prototype'],
    ['the first of two', '{"a/b":{"~":1e999},"c":1e999}', '/a~1b/~0'],
    ['a repeated name after a string with quotes and backslashes', '{"a":"\\\\\\"","b":"\\\\","b":1}', '/b'],
  ])('%s', (_, text, pointer) => {
    expect(flawOf(text)).toBe(pointer)
  })
})

describe('is not a flaw:', () => {
  test.each([
    '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
    '{"a":"{\\"a\\":1,\\"a\\":1}","b":"9007199254740993","c":"\\\\u0000"}',
    '{"a":"\\ud83d\\ude00","b":"1e400"}',
    '{"a":9007199254740991,"b":-9007199254740991,"c":6.02214076e23,"d":5e-324,"e":-0.0,"f":0e999}',
    '{"a":0.30000000000000004,"b":0.10000000000000001,"c":1.7976931348623157e308,"d":1E+2}',
    `${'{"a":'.repeat(32)}1${'}'.repeat(32)}`,
    `{${[...Array(100).keys()].map((n) => `"n${n}":0`)}}`,
    '{"constructor":{"a":{"prototype":1}},"prototype":{"constructor":"__proto__"}}',
    '\ufeff{"a":1}',
  ])('%s', (text) => {
    expect(parseExactly(text)).toEqual(JSON.parse(text.replace('\ufeff', '')))
  })
})

test('in a list, only an item with a flaw is replaced', () => {
  const flaw = (pointer: string) => ({ problems: [{ pointer, message: expect.any(String) }] })
  expect(parseExactly(' [{"a":[1,1e999]}, {"a":1}, 1e999, [[]], {"a":{"b":1,"b":2}}]')).toEqual([
    flaw('/a/1'),
    { a: 1 },
    flaw(''),
    [[]],
    flaw('/a/b'),
  ])
})

test('20,000 names are read, one more is too many; in a list, the limit is for each item', () => {
  const named = (count: number) =>
    `{"a":[${Array.from({ length: (count - 1) / 3 }, (_, n) => `{"a":${n},"b":[{"c":0}]}`)}]}`
  const [all, tooMany] = [named(19_999), named(20_002)]
  expect(parseExactly(all)).toEqual(JSON.parse(all))
  const flaw = { problems: [{ pointer: '', message: 'has more than 20000 names in its objects' }] }
  expect(parseExactly(tooMany)).toEqual(flaw)
  expect(parseExactly(`[${all},${tooMany},${all}]`)).toEqual([JSON.parse(all), flaw, JSON.parse(all)])
})

describe('refused as invalid JSON is', () => {
  test.each(['', '{', '{"a"', '"', '{"a":1}}', "{'a':1}", '[1,]', '01', 'NaN'])('%j', (text) => {
    expect(() => parseExactly(text)).toThrow(SyntaxError)
  })
})

test('a million levels are not parsed', () => {
  const levels = 1_000_000
  const deep = { problems: [{ pointer: expect.any(String), message: 'nested deeper than 32 levels' }] }
  expect(parseExactly('['.repeat(levels) + ']'.repeat(levels))).toEqual(deep)
  expect(parseExactly('{"a":'.repeat(levels))).toEqual(deep)
})

/** JSON text with spaces, escapes and numbers as producers write them, and whether reading would change anything. */
interface Written {
  text: string
  flawed: boolean
}

const quote = (text: string, disguised: boolean) =>
  disguised
    ? `"${[...text].map((c) => [...Array(c.length).keys()].map((n) => `\\u${c.charCodeAt(n).toString(16).padStart(4, '0')}`).join('')).join('')}"`
    : JSON.stringify(text)
const spaces = fc.constantFrom('', '', ' ', '\n\t ')
const string = fc.tuple(
  // These two are refused as names in any spelling, which other tests check.
  fc
    .oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\\', '"', '\\"', ':', '":', '1e999'))
    .filter((text) => text !== '__proto__' && text !== 'constructor'),
  fc.boolean(),
)
const bad = /\0|\p{Surrogate}/u
const scalar = fc.oneof(
  fc.constantFrom('true', 'null', '0', '-1.5e-7').map((text): Written => ({ text, flawed: false })),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n): Written => ({ text: n.toExponential(), flawed: false })),
  fc.maxSafeInteger().map((n): Written => ({ text: `${n}`, flawed: false })),
  fc
    .constantFrom('9007199254740993', '1e999', '1e-999', '0.12345678901234567890')
    .map((text): Written => ({ text, flawed: true })),
  string.map(([text, disguised]): Written => ({ text: quote(text, disguised), flawed: bad.test(text) })),
)
const { written } = fc.letrec<{ written: Written }>((tie) => ({
  written: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalar,
    fc.tuple(fc.array(tie('written'), { maxLength: 4 }), spaces).map(
      ([items, space]): Written => ({
        text: `[${space}${items.map(({ text }) => text).join(`${space},`)}]`,
        flawed: items.some(({ flawed }) => flawed),
      }),
    ),
    fc
      .tuple(
        fc.array(fc.tuple(fc.oneof(string, fc.tuple(fc.constantFrom('a', 'b'), fc.boolean())), tie('written')), {
          maxLength: 4,
        }),
        spaces,
      )
      .map(
        ([members, space]): Written => ({
          text: `{${members.map(([[name, disguised], { text }]) => `${space}${quote(name, disguised)}${space}:${space}${text}`)}${space}}`,
          flawed:
            members.some(([[name], { flawed }]) => flawed || bad.test(name)) ||
            new Set(members.map(([[name]]) => name)).size < members.length,
        }),
      ),
  ),
}))

test('in any text, a flaw is found anywhere, and a text without flaws is read like JSON.parse reads it', () => {
  fc.assert(
    fc.property(written, ({ text, flawed }) => {
      const whole = `{"whole":${text}}`
      expect(flawOf(whole) !== undefined).toBe(flawed)
      if (!flawed) expect(parseExactly(whole)).toEqual(JSON.parse(whole))
    }),
    { numRuns: 2_000 },
  )
})

describe('a number', () => {
  const number = fc.double({ noNaN: true, noDefaultInfinity: true })

  test('is exact as a double is printed, with all its digits or as many as identify it', () => {
    fc.assert(
      fc.property(number, (n) => {
        expect(isExactNumber(n.toExponential())).toBe(true)
        expect(isExactNumber(n.toExponential(16))).toBe(true)
      }),
      { examples: [[-1175840173367944.2]] },
    )
  })

  test('is exact with up to 15 digits', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer({ min: -290, max: 290 }), (n, exponent) => {
        expect(isExactNumber(`${n.toPrecision(15)}e${exponent}`.replace(/e\+15e/, 'e'))).toBe(true)
      }),
    )
  })

  test('is not exact with a digit that no double has', () => {
    fc.assert(
      fc.property(
        number.filter((n) => n !== 0),
        (n) => {
          expect(isExactNumber(n.toExponential(16).replace('e', '0000000000001e'))).toBe(false)
        },
      ),
    )
  })
})
