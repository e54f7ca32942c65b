/** What defineJoin accepts and refuses, and the types that `select` sees. */
import { expect, test } from '@jest/globals'
import { isConsumer } from './define-consumer.js'
import { isJoin } from './define-join.js'
import { isWindow } from './define-window.js'
import { type AcceptedEvent, defineJoin, type JoinDefinition } from './index.js'

const fail = () => {
  throw new Error('not today')
}
const valid: JoinDefinition = {
  ...{ name: 'paid-orders', left: 'order.created', right: 'payment.captured', emit: 'order.paid' },
  within: { before: '0s', after: '10m' },
  select: () => ({}),
}

test('a definition keeps its fields, and is frozen', () => {
  const written: JoinDefinition = {
    ...valid,
    version: 2,
    description: 'Joins orders with payments.',
    from: { position: 5 },
    kind: 'outer',
    match: 'first',
    maxPerKey: 100_000,
    time: { outOfOrderness: '30s', idle: '1m' },
    late: 'dead-letter',
    onPoison: 'pause',
    onLostHistory: 'skip',
  }
  const definition = defineJoin({ ...written })
  expect(definition).toEqual(written)
  for (const part of [definition, definition.from, definition.within, definition.time]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

test('only the result itself is a join: not a copy, another definition or a trap', () => {
  const definition = defineJoin(valid)
  const trap = new Proxy({}, { has: fail })
  expect([definition, { ...definition }, valid, null, trap].map(isJoin)).toEqual([true, false, false, false, false])
  expect([isConsumer(definition), isWindow(definition)]).toEqual([false, false])
})

test('the latest match needs no bounds, and may have an end', () => {
  const { within: _, ...unbounded } = valid
  expect(defineJoin({ ...unbounded, match: 'latest' }).within).toBeUndefined()
  expect(defineJoin({ ...valid, match: 'latest', within: { after: '30d' } }).within).toEqual({ after: '30d' })
  expect(defineJoin({ ...valid, match: 'latest', within: {} }).within).toEqual({})
})

type Order = AcceptedEvent<{ orderId: string }>
type Payment = AcceptedEvent<{ amount: number }>
const order = { name: 'paid', left: 'order.created', right: 'payment.captured', emit: 'order.paid' }
const within = { before: '0s', after: '10m' }

test('select sees null only where the kind has it', () => {
  const paid = (amount: number) => ({ amount })
  defineJoin({ ...order, within, select: (left: Order, right: Payment) => ({ ...left.data, ...right.data }) })
  defineJoin({
    ...order,
    within,
    kind: 'left',
    select: (_: Order, right: Payment | null) => paid(right?.data.amount ?? 0),
  })
  // @ts-expect-error the right side may be missing
  defineJoin({ ...order, within, kind: 'left', select: (_: Order, right: Payment) => paid(right.data.amount) })
  // @ts-expect-error the left side may be missing
  defineJoin({ ...order, within, kind: 'outer', select: (left: Order, _: Payment | null) => left.data })
  defineJoin({ ...order, within, kind: 'outer', select: (left: Order | null, _: Payment | null) => left?.data })
})

test('without declared types, the data is any object; with them, select is checked', () => {
  const untyped = defineJoin({
    ...{ ...order, within },
    select: (left, right) => {
      const [orderId, amount]: unknown[] = [left.data.orderId, right.data.amount]
      return { orderId, amount }
    },
  })
  defineJoin<{ orderId: string }, { amount: number }>({
    ...{ ...order, within },
    // @ts-expect-error a payment has no discount
    select: (left, right) => ({ orderId: left.data.orderId, discount: right.data.discount }),
  })
  // @ts-expect-error data is an object
  defineJoin({ ...order, within, select: () => 5 })
  expect(isJoin(untyped)).toBe(true)
})

const DURATION = "must be a duration such as '30s', '5m', '12h' or '1d', not "
const WITHIN = 'within: must be an object with before and after, not '

test.each<[string, object, string]>([
  ['a wrong name', { ...valid, name: 'A' }, "name: must be 1 to 100 lower-case letters, digits, '-', '_' and '.', "],
  ['half a version', { ...valid, version: 1.5 }, 'version: must be a whole number from 1 to 2147483647, not 1.5'],
  ['a wrong description', { ...valid, description: 1 }, 'description: must be a string, not 1'],
  ['no left side', { ...valid, left: undefined }, 'left: must be a non-empty string'],
  ['a list on the right', { ...valid, right: ['a'] }, 'right: must be a non-empty string'],
  ['a wrong beginning', { ...valid, from: null }, "from: must be 'earliest'"],
  ['a wrong kind', { ...valid, kind: 'right' }, "kind: must be 'inner', 'left' or 'outer', not 'right'"],
  ['a wrong match', { ...valid, match: 'any' }, "match: must be 'all', 'first' or 'latest', not 'any'"],
  ['no bounds', { ...valid, within: undefined }, `${WITHIN}undefined`],
  ['bounds that are a text', { ...valid, within: '10m' }, `${WITHIN}'10m'`],
  ['bounds that are null', { ...valid, match: 'latest', within: null }, `${WITHIN}null`],
  ['one bound', { ...valid, within: { after: '1s' } }, `within.before: ${DURATION}undefined`],
  ['the other bound', { ...valid, match: 'first', within: { before: '1s' } }, `within.after: ${DURATION}undefined`],
  ['a bound that is a number', { ...valid, within: { ...within, after: 5 } }, `within.after: ${DURATION}the number 5`],
  ['a mistyped bound', { ...valid, within: { ...within, behind: '5m' } }, 'within.behind: unknown field'],
  [
    'a latest match that is later',
    { ...valid, match: 'latest' },
    "within.before: with match 'latest', a right event is never joined with a later left one; only after is allowed",
  ],
  ['a wrong end', { ...valid, match: 'latest', within: { after: 'x' } }, `within.after: ${DURATION}the text "x"`],
  ['none per key', { ...valid, maxPerKey: 0 }, 'maxPerKey: must be a whole number from 1 to 100000, not 0'],
  ['too many per key', { ...valid, maxPerKey: 100_001 }, 'maxPerKey: must be a whole number from 1 to 100000'],
  ['a wrong time', { ...valid, time: 5 }, 'time: must be an object with outOfOrderness and idle, not 5'],
  ['no select', { ...valid, select: undefined }, 'select: must be a function, not undefined'],
  ['no emitted type', { ...valid, emit: undefined }, 'emit: must be a non-empty string'],
  ['a wrong late', { ...valid, late: 1 }, "late: must be 'record' or 'dead-letter', not 1"],
  ['a wrong onPoison', { ...valid, onPoison: 'skip' }, "onPoison: must be 'dead-letter' or 'pause', not 'skip'"],
  ['a wrong onLostHistory', { ...valid, onLostHistory: 'no' }, "onLostHistory: must be 'pause' or 'skip', not 'no'"],
  ['a field of windows', { ...valid, aggregate: {} }, 'aggregate: unknown field'],
  ['what is no definition', 5 as never, 'a definition must be an object, not 5'],
])('refuses %s', (_, definition, message) => {
  expect(() => defineJoin(definition as JoinDefinition)).toThrow(message)
})

test('names the join, and every mistake at once', () => {
  const definition = { ...valid, left: '', kind: 'full', emit: 5 }
  expect(() => defineJoin(definition as unknown as JoinDefinition)).toThrow(
    `the definition of join "paid-orders" is wrong:
  left: must be a non-empty string
  kind: must be 'inner', 'left' or 'outer', not 'full'
  emit: must be a non-empty string`,
  )
})

test('a getter or a proxy that throws is named, at any place', () => {
  const trap = Object.defineProperty({}, 'after', { get: fail, enumerable: true })
  const definitions: object[] = [
    ...[Object.defineProperty({ ...valid }, 'select', { get: fail, enumerable: true }), { ...valid, within: trap }],
    ...[{ ...valid, time: trap }, new Proxy(valid, { ownKeys: fail })],
  ]
  for (const definition of definitions) {
    expect(() => defineJoin(definition as JoinDefinition)).toThrow('reading a definition threw not today')
  }
  const select = new Proxy(() => null, { get: fail, apply: fail })
  expect(isJoin(defineJoin({ ...valid, select }))).toBe(true)
})

test('later changes do not affect a checked definition', () => {
  const [time, within] = [{ idle: '10s' }, { before: '1s', after: '1s' }]
  const definition = defineJoin({ ...valid, time, within })
  time.idle = within.after = 'x'
  expect(definition).toMatchObject({ time: { idle: '10s' }, within: { after: '1s' } })
})
