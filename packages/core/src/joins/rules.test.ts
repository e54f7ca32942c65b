/** How the rules of a join are read. */
import { expect, test } from '@jest/globals'
import { readJoinRules } from './rules.js'

const within = { before: '0s', after: '10m' }

test('reads what is written, with the defaults', () => {
  const read = { before: 0n, after: 600_000_000n, maxPerKey: 1_000 }
  expect(readJoinRules({ within })).toEqual({ ...read, kind: 'inner', match: 'all' })
  expect(readJoinRules({ within, kind: 'outer', match: 'first', maxPerKey: 5 })).toEqual({
    ...{ ...read, kind: 'outer', match: 'first', maxPerKey: 5 },
  })
})

test('the latest match has no bound before, and needs none after', () => {
  expect(readJoinRules({ match: 'latest' })).toMatchObject({ match: 'latest', before: 0n, after: undefined })
  expect(readJoinRules({ match: 'latest', within: { after: '1s' } })).toMatchObject({ before: 0n, after: 1_000_000n })
})

test('names a missing or wrong duration', () => {
  expect(() => readJoinRules({})).toThrow('within.before: must be a duration such as')
  expect(() => readJoinRules({ within: { before: '1s', after: '1' } })).toThrow(
    'within.after: must be a duration such as',
  )
})
