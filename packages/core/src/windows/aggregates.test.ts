/** Aggregates over events: exact, and the same however the events are divided. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { AcceptedEvent, Payload } from '../event.js'
import { PermanentError, TransientError } from '../failure.js'
import { type Aggregate, avg, type CustomAggregate, count, custom, max, min, sum } from './aggregates.js'
import { createAggregation } from './aggregation.js'

interface Data {
  amount: number | string
}
type Sale = AcceptedEvent<Data>

const sale = (amount: unknown) => ({ data: { amount } }) as Sale
const amountOf = ({ data }: Sale) => data.amount

const distinct = custom({
  create: (): Record<string, true> => ({}),
  add: (found, { data }: Sale) => {
    found[data.amount] = true
    return found
  },
  merge: (a, b) => Object.assign(a, b),
  result: (found) => Object.keys(found).sort(),
})

const all = createAggregation<Data>({
  count: count(),
  total: sum(amountOf),
  lowest: min(amountOf),
  highest: max(amountOf),
  average: avg(amountOf),
  distinct,
})

const foldOf = <State>(aggregate: { create(): State; add(state: State, event: Sale): State }, amounts: unknown[]) =>
  amounts.map(sale).reduce<State>((state, event) => aggregate.add(state, event), aggregate.create())
const resultOf = <Result>(aggregate: Aggregate<Data, Result>, amounts: unknown[]): Result =>
  aggregate.result(foldOf(aggregate, amounts))

test('case 23: sums are exact', () => {
  expect(resultOf(sum(amountOf), [0.1, 0.1, 0.1])).toBe(0.3)
  expect(resultOf(sum(amountOf), ['9007199254740993', '1'])).toBe('9007199254740994')
  expect(resultOf(sum(amountOf), ['9007199254740993', '-9007199254740990'])).toBe(3)
})

test('each aggregate says what it says', () => {
  expect(all.result(foldOf(all, [2, '10', 1.5, 2]))).toEqual({
    count: 4,
    total: 15.5,
    lowest: 1.5,
    highest: 10,
    average: 3.875,
    distinct: ['1.5', '10', '2'],
  })
})

test('without events there is no lowest, highest or average', () => {
  expect(all.result(all.create())).toEqual({
    count: 0,
    total: 0,
    lowest: null,
    highest: null,
    average: null,
    distinct: [],
  })
})

test('lowest and highest compare numbers exactly, not texts', () => {
  expect(resultOf(max(amountOf), ['9', '10', '-11'])).toBe(10)
  expect(resultOf(min(amountOf), ['9', '10', '-11'])).toBe(-11)
  expect(resultOf(max(amountOf), ['9007199254740993', '9007199254740992'])).toBe('9007199254740993')
})

test('an average has 15 significant digits, or as many as are asked for', () => {
  expect(resultOf(avg(amountOf), [1, 0, 0])).toBe(0.333333333333333)
  expect(resultOf(avg(amountOf, { digits: 3 }), [2, 0, 0])).toBe(0.667)
  expect(resultOf(avg(amountOf, { digits: 20 }), [1, 0, 0])).toBe('0.33333333333333333333')
  expect(resultOf(avg(amountOf, { digits: 16 }), ['9007199254740993', '9007199254740993'])).toBe('9007199254740993')
})

test('states are JSON, and merge associatively in any division', () => {
  const amounts = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }),
    fc.integer(),
    fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }).map(String),
  )
  const divided = fc.array(fc.array(amounts, { maxLength: 5 }), { minLength: 1, maxLength: 6 })
  const stored = (state: Payload) => JSON.parse(JSON.stringify(all.stored(state)))
  fc.assert(
    fc.property(divided, fc.boolean(), (parts, fromTheRight) => {
      const states = parts.map((part) => stored(foldOf(all, part)))
      const before = JSON.stringify(states)
      const merged = fromTheRight
        ? states.reduceRight((later, earlier) => all.merge(earlier, later))
        : states.reduce((earlier, later) => all.merge(earlier, later))
      expect(stored(merged)).toEqual(stored(foldOf(all, parts.flat())))
      // A state is used again in other windows.
      expect(JSON.stringify(states)).toBe(before)
    }),
  )
})

test('events can be added to a state that was stored', () => {
  const state = JSON.parse(JSON.stringify(all.stored(foldOf(all, [1, 2]))))
  expect(all.result(all.add(state, sale(2)))).toEqual(all.result(foldOf(all, [1, 2, 2])))
})

test('a shared initial state is not changed', () => {
  const empty: number[] = []
  const list = custom({
    create: () => empty,
    add: (items, { data }: Sale) => {
      items.push(Number(data.amount))
      return items
    },
    merge: (a, b) => [...a, ...b],
    result: (items) => items.reverse(),
  })
  const state = foldOf(list, [1, 2])
  expect([list.result(state), list.result(state)]).toEqual([
    [2, 1],
    [2, 1],
  ])
  expect(empty).toEqual([])
})

const EXPECTED = 'expected a number, a BigInt or a decimal number as text, of at most 400 digits'

test.each<[unknown, string]>([
  [undefined, 'undefined'],
  [null, 'null'],
  [NaN, 'the number NaN'],
  [-Infinity, 'the number -Infinity'],
  ['a lot', 'the text "a lot"'],
  [true, 'true'],
  [{ amount: 1 }, 'an object with amount'],
  [new Date(0), 'a Date'],
  [Promise.reject(new Error('not today')), 'a promise'],
])('a function that returns %p is at fault', (value, described) => {
  for (const [kind, aggregate] of Object.entries({
    sum: sum<Data>(() => value as number),
    avg: avg<Data>(() => value as number),
  })) {
    expect(() => resultOf(aggregate, [1])).toThrow(PermanentError)
    expect(() => resultOf(aggregate, [1])).toThrow(`the function of ${kind} returned ${described}; ${EXPECTED}`)
  }
  const named = createAggregation<Data>({ count: count(), lowest: min(() => value as number) })
  expect(() => foldOf(named, [1])).toThrow(
    new PermanentError(`aggregate 'lowest': the function of min returned ${described}; ${EXPECTED}`),
  )
})

test('what a function throws passes through', () => {
  const aggregation = createAggregation<Data>({
    total: sum(() => {
      throw new TransientError('not today')
    }),
  })
  expect(() => foldOf(aggregation, [1])).toThrow(new TransientError('not today'))
  expect(() => foldOf(aggregation, [1])).toThrow(TransientError)
})

const functions: CustomAggregate<Data, unknown, unknown> = {
  create: () => 0,
  add: () => 0,
  merge: () => 0,
  result: () => 0,
}
const trap = {
  get a(): never {
    throw new TransientError('not today')
  },
}

test.each<[string, object, string]>([
  ['create', { create: () => undefined }, 'create returned undefined; expected plain JSON, synchronously'],
  ['create', { create: () => new Map() }, 'create returned a Map; expected plain JSON'],
  ['create', { create: () => ({ a: [1n] }) }, 'create returned the BigInt 1 at /a/0; expected plain JSON'],
  ['add', { add: () => undefined }, 'add returned undefined; expected plain JSON'],
  ['add', { add: async () => Promise.reject(new Error('not today')) }, 'add returned a promise; expected plain JSON'],
  ['add', { add: () => Math.max }, 'add returned a function; expected plain JSON'],
  ['the state', { add: () => ({ a: new Set() }) }, 'add returned a Set at /a; expected plain JSON'],
  ['merge', { merge: () => NaN }, 'merge returned the number NaN; expected plain JSON'],
  ['result', { result: () => undefined }, 'result returned undefined; expected plain JSON'],
  ['result', { result: () => ({ at: Infinity }) }, 'result returned the number Infinity at /at; expected plain JSON'],
  ['a getter', { result: () => trap }, 'not today'],
])('a wrong answer is named: %s', (_, wrong, message) => {
  const aggregation = createAggregation<Data>({ mine: custom({ ...functions, ...wrong }) })
  const run = () => aggregation.result(aggregation.merge(foldOf(aggregation, [1]), aggregation.create()))
  expect(run).toThrow(message)
})

test('a state that JSON cannot hold is refused when it is stored', () => {
  const aggregation = createAggregation<Data>({ mine: custom({ ...functions, add: () => ({ a: new Set() }) }) })
  expect(() => aggregation.stored(foldOf(aggregation, [1]))).toThrow(
    new PermanentError('the state of the aggregates contains a Set at /mine/a; expected plain JSON'),
  )
})

test.each<[string, () => unknown, string]>([
  [
    'a field name instead of a function',
    () => sum('amount' as never),
    'sum: must be a function, not the text "amount"',
  ],
  ['nothing', () => min(undefined as never), 'min: must be a function, not undefined'],
  [
    'no digits',
    () => avg(amountOf, { digits: 0 }),
    'avg: digits must be a whole number from 1 to 100, not the number 0',
  ],
  ['half a digit', () => avg(amountOf, { digits: 1.5 }), 'avg: digits must be a whole number from 1 to 100'],
  ['many digits', () => avg(amountOf, { digits: 101 }), 'avg: digits must be a whole number from 1 to 100'],
  ['a mistyped option', () => avg(amountOf, { digit: 3 } as never), "avg: unknown option 'digit'"],
  ['a number for options', () => avg(amountOf, 3 as never), 'avg needs an object with digits, not the number 3'],
  ['no functions', () => custom(undefined as never), 'custom: needs an object of functions, not undefined'],
  [
    'a missing function',
    () => custom({ ...functions, merge: undefined as never }),
    'custom: merge: must be a function',
  ],
  ['a mistyped function', () => custom({ ...functions, ad: 1 } as never), "custom: unknown function 'ad'"],
])('refuses %s', (_, make, message) => {
  expect(make).toThrow(TypeError)
  expect(make).toThrow(message)
})
