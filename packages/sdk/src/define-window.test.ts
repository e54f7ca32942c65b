/** What defineWindow accepts and refuses, and the types that a window's functions see. */
import { expect, test } from '@jest/globals'
import { isConsumer } from './define-consumer.js'
import { isJoin } from './define-join.js'
import { isWindow } from './define-window.js'
import {
  type AcceptedEvent,
  avg,
  calendar,
  count,
  custom,
  defineWindow,
  hopping,
  max,
  min,
  session,
  sum,
  tumbling,
  type WindowDefinition,
} from './index.js'

const nothing = async () => {}
const fail = () => {
  throw new Error('not today')
}
const valid: WindowDefinition = {
  ...{ name: 'revenue', on: ['payment.captured'], window: tumbling('5m') },
  aggregate: { payments: count() },
}

test('a definition keeps its fields, and is frozen', () => {
  const written: WindowDefinition = {
    name: 'a.b-c_9',
    version: 2,
    description: 'Counts payments.',
    on: ['payment.captured', 'payment.refunded'],
    from: 'earliest',
    window: session({ gap: '30m', max: '12h' }),
    time: { outOfOrderness: '0s', idle: 'never' },
    aggregate: {
      count: count(),
      'a-b_C9': sum(({ seq }) => seq),
      lowest: min(({ seq }) => seq),
      highest: max(({ seq }) => seq),
      average: avg(({ seq }) => seq),
      own: custom({ create: () => 0, add: (n: number) => n, merge: (n) => n, result: (n) => n }),
    },
    late: 'dead-letter',
    emit: 'payments.counted',
    onResult: nothing,
    reset: nothing,
    prepare: nothing,
    onPoison: 'pause',
    onLostHistory: 'skip',
  }
  const definition = defineWindow({ ...written })
  expect(definition).toEqual(written)
  for (const part of [definition, definition.on, definition.time, definition.aggregate, definition.window]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

test('only the result itself is a window: not a copy, a consumer or a trap', () => {
  const definition = defineWindow(valid)
  const trap = new Proxy({}, { has: fail })
  expect([definition, { ...definition }, valid, null, trap].map(isWindow)).toEqual([true, false, false, false, false])
  expect([isConsumer(definition), isJoin(definition)]).toEqual([false, false])
})

test('all kinds of windows are accepted', () => {
  const windows = [
    hopping('1h', { every: '5m' }),
    calendar('day', { timeZone: 'Europe/Berlin' }),
    session({ gap: '1m' }),
  ]
  for (const window of windows) expect(defineWindow({ ...valid, window }).window).toBe(window)
})

type Payment = { amount: number }

test('functions of aggregates see the data that they declare, and onResult sees the results', () => {
  defineWindow({
    ...{ name: 'revenue', on: ['payment.captured'], window: tumbling('5m') },
    aggregate: {
      payments: count(),
      total: sum(({ data }: AcceptedEvent<Payment>) => data.amount),
      highest: max(({ data }: AcceptedEvent<Payment>) => data.amount),
    },
    onResult: async ({ tenantId, key, start, end, payments, total, highest }, tx) => {
      const texts: string[] = [tenantId, key, start, end]
      const numbers: [number, number | string, number | string | null] = [payments, total, highest]
      await tx.query('SELECT 1', [texts, numbers])
      // @ts-expect-error a sum may be a text
      const sum: number = total
      return sum as never
    },
  })
  // @ts-expect-error there is no aggregate of this name
  defineWindow({ ...valid, aggregate: { n: count() }, onResult: async ({ m }) => m })
})

test('functions of aggregates see the data that the definition declares', () => {
  const typed = defineWindow<Payment>({
    ...{ name: 'revenue', on: ['payment.captured'], window: tumbling('5m') },
    aggregate: {
      payments: count(),
      total: sum(({ data }) => data.amount),
      // @ts-expect-error a payment has no discount
      discount: sum(({ data }) => data.discount),
    },
  })
  expect(isWindow(typed)).toBe(true)
})

const WINDOW = 'window: must be the result of tumbling(…), hopping(…), session(…) or calendar(…), not '
const AGGREGATE = 'aggregate.n: must be the result of count(), sum(…), min(…), max(…), avg(…) or custom(…), not '
const DURATION = "must be a duration such as '30s', '5m', '12h' or '1d', not "
const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`n${i}`, count()]))
const named = (name: string) => ({ ...valid, aggregate: { [name]: count() } })

test.each<[string, object, string]>([
  ['no name', { ...valid, name: undefined }, 'name: must be 1 to 100 lower-case letters'],
  ['version 0', { ...valid, version: 0 }, 'version: must be a whole number from 1 to 2147483647, not 0'],
  ['a wrong description', { ...valid, description: 1 }, 'description: must be a string, not 1'],
  ['no event types', { ...valid, on: undefined }, 'on: must be a list of event types, not undefined'],
  ['an empty list', { ...valid, on: [] }, 'on: must name at least one event type'],
  ['an event type twice', { ...valid, on: ['a', 'a'] }, 'on[1]: "a" is named twice'],
  ['a wrong beginning', { ...valid, from: 'first' }, "from: must be 'earliest'"],
  ['no window', { ...valid, window: undefined }, `${WINDOW}undefined`],
  ['a window as a text', { ...valid, window: '5m' }, `${WINDOW}'5m'`],
  ['the function', { ...valid, window: tumbling }, `${WINDOW}[Function: tumbling]`],
  ['a copy of a window', { ...valid, window: { ...tumbling('5m') } }, `${WINDOW}{`],
  ['a window that is a trap', { ...valid, window: new Proxy({}, { has: fail, get: fail }) }, `${WINDOW}a value that`],
  ['a time in no object', { ...valid, time: '30s' }, "time: must be an object with outOfOrderness and idle, not '30s'"],
  ['a time that is null', { ...valid, time: null }, 'time: must be an object with outOfOrderness and idle, not null'],
  ['a mistyped time', { ...valid, time: { outOfOrder: '1s' } }, 'time.outOfOrder: unknown field'],
  ['a number', { ...valid, time: { outOfOrderness: 30 } }, `time.outOfOrderness: ${DURATION}the number 30`],
  ['a negative duration', { ...valid, time: { outOfOrderness: '-1s' } }, `time.outOfOrderness: ${DURATION}`],
  ['no idle time', { ...valid, time: { idle: '0s' } }, "time.idle: must be longer than 0, not '0s'; or 'never'"],
  ['a wrong idle time', { ...valid, time: { idle: 'none' } }, `time.idle: ${DURATION}the text "none"; or 'never'`],
  [
    'no aggregates',
    { ...valid, aggregate: undefined },
    'aggregate: must be an object of aggregates by name, not undef',
  ],
  ['a function', { ...valid, aggregate: count }, 'aggregate: must be an object of aggregates by name, not [Function'],
  ['a list', { ...valid, aggregate: [count()] }, 'aggregate: must be an object of aggregates by name, not ['],
  ['an empty object', { ...valid, aggregate: {} }, 'aggregate: must have 1 to 50 aggregates, not 0'],
  ['too many aggregates', { ...valid, aggregate: many(51) }, 'aggregate: must have 1 to 50 aggregates, not 51'],
  ['what is no aggregate', { ...valid, aggregate: { n: 1 } }, `${AGGREGATE}1`],
  ['the function that makes one', { ...valid, aggregate: { n: count } }, `${AGGREGATE}[Function: count]`],
  ['a copy of an aggregate', { ...valid, aggregate: { n: { ...count() } } }, `${AGGREGATE}{`],
  ['an aggregate that is a trap', { ...valid, aggregate: { n: new Proxy({}, { has: fail }) } }, `${AGGREGATE}{}`],
  [
    'an empty name of an aggregate',
    named(''),
    "aggregate: a name must be 1 to 100 letters, digits, '_' and '-', not ''",
  ],
  ['a long one', named('x'.repeat(101)), "aggregate: a name must be 1 to 100 letters, digits, '_' and '-', not 'xxx"],
  [
    'one with a line break',
    named('a\n'),
    "aggregate: a name must be 1 to 100 letters, digits, '_' and '-', not 'a\\n'",
  ],
  ['one of the result', named('key'), 'aggregate.key: this name is a field of every result; choose another'],
  ['another of the result', named('tenantId'), 'aggregate.tenantId: this name is a field of every result'],
  ['one of JavaScript', named('__proto__'), 'aggregate.__proto__: this name has a meaning in JavaScript'],
  ['another of JavaScript', named('constructor'), 'aggregate.constructor: this name has a meaning in JavaScript'],
  ['a wrong late', { ...valid, late: 'drop' }, "late: must be 'record' or 'dead-letter', not 'drop'"],
  ['a wrong emitted type', { ...valid, emit: '' }, 'emit: must be a non-empty string'],
  ['a wrong onResult', { ...valid, onResult: 'log' }, "onResult: must be a function, not 'log'"],
  ['a wrong reset', { ...valid, reset: true }, 'reset: must be a function, not true'],
  ['a wrong preparation', { ...valid, prepare: 1 }, 'prepare: must be a function, not 1'],
  ['a wrong onPoison', { ...valid, onPoison: 'skip' }, "onPoison: must be 'dead-letter' or 'pause', not 'skip'"],
  ['a wrong onLostHistory', { ...valid, onLostHistory: null }, "onLostHistory: must be 'pause' or 'skip', not null"],
  ['a key', { ...valid, key: () => 'a' }, 'key: unknown field'],
  ['a field of consumers', { ...valid, handle: nothing }, 'handle: unknown field'],
  ['what is no definition', null as never, 'a definition must be an object, not null'],
])('refuses %s', (_, definition, message) => {
  expect(() => defineWindow(definition as WindowDefinition)).toThrow(message)
})

test('50 aggregates with names of 100 characters are accepted', () => {
  const aggregate = { ...many(49), ['x'.repeat(100)]: count() }
  expect(Object.keys(defineWindow({ ...valid, aggregate }).aggregate)).toHaveLength(50)
})

test('names the window, and every mistake at once', () => {
  const definition = { ...valid, on: [], aggregate: { end: 1 }, late: 'no' }
  expect(() => defineWindow(definition as unknown as WindowDefinition)).toThrow(
    `the definition of window "revenue" is wrong:
  on: must name at least one event type
  aggregate.end: this name is a field of every result; choose another
  aggregate.end: must be the result of count(), sum(…), min(…), max(…), avg(…) or custom(…), not 1
  late: must be 'record' or 'dead-letter', not 'no'`,
  )
})

test('a getter or a proxy that throws is named, at any place', () => {
  const trap = Object.defineProperty({}, 'n', { get: fail, enumerable: true })
  const definitions: object[] = [
    ...[Object.defineProperty({ ...valid }, 'name', { get: fail, enumerable: true }), { ...valid, aggregate: trap }],
    ...[
      { ...valid, time: trap },
      { ...valid, on: new Proxy(['a'], { get: fail }) },
      new Proxy(valid, { ownKeys: fail }),
    ],
  ]
  for (const definition of definitions) {
    expect(() => defineWindow(definition as WindowDefinition)).toThrow('reading a definition threw not today')
  }
})

test('later changes do not affect a checked definition', () => {
  const [on, time, aggregate] = [['a.b'], { idle: '10s' }, { n: count() }]
  const definition = defineWindow({ ...valid, on, time, aggregate })
  on.push('a.b')
  time.idle = 'x'
  Object.assign(aggregate, { key: 1 })
  expect(definition).toMatchObject({ on: ['a.b'], time: { idle: '10s' } })
  expect(Object.keys(definition.aggregate)).toEqual(['n'])
})
