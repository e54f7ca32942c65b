/** What defineConsumer accepts and refuses, and the types that a consumer's functions see. */
import { expect, test } from '@jest/globals'
import { isConsumer } from './define-consumer.js'
import { isEvent } from './define-event.js'
import { type AcceptedEvent, type ConsumerDefinition, type ConsumerTx, defineConsumer } from './index.js'

const nothing = async () => {}
const fail = () => {
  throw new Error('not today')
}
const valid: ConsumerDefinition = { name: 'invoicing', events: ['payment.captured'], handle: nothing }

test('a definition keeps its fields, and is frozen', () => {
  const written: ConsumerDefinition = {
    name: 'a.b-c_9',
    version: 2,
    description: 'Writes invoices.',
    events: ['payment.captured', 'payment.refunded'],
    from: { time: '2026-01-31T13:00:00.5+01:00' },
    handleBatch: nothing,
    key: (event) => event.key,
    order: 'none',
    retry: { attempts: 1 },
    onPoison: 'pause',
    onLostHistory: 'skip',
    reset: nothing,
    prepare: nothing,
  }
  const definition = defineConsumer({ ...written })
  expect(definition).toEqual(written)
  for (const part of [definition, definition.events, definition.from, definition.retry]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

test('only the result itself is a consumer: not a copy, an event type or a trap', () => {
  const definition = defineConsumer(valid)
  const trap = new Proxy({}, { has: fail })
  expect([definition, { ...definition }, valid, null, trap].map(isConsumer)).toEqual([true, false, false, false, false])
  expect(isEvent(definition)).toBe(false)
})

test('functions see the type of the data that one of them declares', () => {
  type Payment = { orderId: string; amount: number }
  defineConsumer({
    ...{ name: 'invoicing', events: ['payment.captured'] },
    handle: async ({ data }: AcceptedEvent<Payment>, tx) => {
      await tx.emit({ type: 'invoice.issued', data: { orderId: data.orderId } })
      // @ts-expect-error a payment has no discount
      await tx.query('SELECT $1', [data.discount])
    },
    key: ({ data }) => data.orderId,
  })
  const typed = defineConsumer<Payment>({
    ...{ name: 'invoicing', events: ['payment.captured'] },
    handleBatch: async (events, tx: ConsumerTx) => {
      const amounts: number[] = events.map(({ data }) => data.amount)
      await tx.query('SELECT $1', [amounts])
      // @ts-expect-error an emitted event has data
      await tx.emit({ type: 'invoice.issued' }, events[0])
    },
  })
  expect(isConsumer(typed)).toBe(true)
})

test('without a declared type, the data is any object', () => {
  defineConsumer({
    ...{ name: 'invoicing', events: ['payment.captured'] },
    handle: async ({ data }) => {
      const amount: unknown = data.amount
      expect(amount).toBeDefined()
    },
  })
})

const FROM = "'earliest', 'latest', { time: … } or { position: … }"
const NAME = "name: must be 1 to 100 lower-case letters, digits, '-', '_' and '.', beginning with a letter, not "

test.each<[string, object, string]>([
  ['no name', { ...valid, name: undefined }, `${NAME}undefined`],
  ['an empty name', { ...valid, name: '' }, `${NAME}''`],
  ['a name that begins with a digit', { ...valid, name: '1a' }, `${NAME}'1a'`],
  ['a name with a capital letter', { ...valid, name: 'aB' }, `${NAME}'aB'`],
  ['a name with a line break', { ...valid, name: 'a\n' }, `${NAME}'a\\n'`],
  ['a long name', { ...valid, name: 'x'.repeat(101) }, `${NAME}'xxx`],
  ['a name that is no text', { ...valid, name: ['a'] }, "the definition of consumer [ 'a' ] is wrong"],
  ['version 0', { ...valid, version: 0 }, 'version: must be a whole number from 1 to 2147483647, not 0'],
  ['half a version', { ...valid, version: 1.5 }, 'version: must be a whole number from 1 to 2147483647, not 1.5'],
  ['a version that is not stored', { ...valid, version: 2_147_483_648 }, 'version: must be a whole number'],
  ['a version as a text', { ...valid, version: '1' }, "version: must be a whole number from 1 to 2147483647, not '1'"],
  ['a wrong description', { ...valid, description: 1 }, 'description: must be a string, not 1'],
  ['no events', { ...valid, events: undefined }, 'events: must be a list of event types, not undefined'],
  ['events in no list', { ...valid, events: 'a.b' }, "events: must be a list of event types, not 'a.b'"],
  ['events in a set', { ...valid, events: new Set(['a.b']) }, 'events: must be a list of event types, not Set(1)'],
  ['an empty list of events', { ...valid, events: [] }, 'events: must name at least one event type'],
  ['an event type twice', { ...valid, events: ['a', 'b', 'a'] }, 'events[2]: "a" is named twice'],
  ['an empty event type', { ...valid, events: ['a', ' '] }, 'events[1]: must be a non-empty string'],
  ['a long event type', { ...valid, events: ['x'.repeat(201)] }, 'events[0]: at most 200 characters, not 201'],
  ['a list with a hole', { ...valid, events: Array(1) }, 'events[0]: must be a non-empty string'],
  ['an event type with a space after it', { ...valid, events: ['a '] }, 'events[0]: begins or ends with a space'],
  ['an event type with NUL', { ...valid, events: ['a\0'] }, 'events[0]: contains an invisible character: "a\\u0000"'],
  ['half a character', { ...valid, events: ['a\ud800'] }, 'events[0]: contains half of a surrogate pair'],
  ['a wrong beginning', { ...valid, from: 'first' }, `from: must be ${FROM}, not 'first'`],
  ['a beginning that is null', { ...valid, from: null }, `from: must be ${FROM}, not null`],
  ['an empty beginning', { ...valid, from: {} }, `from: must be one of ${FROM}`],
  ['two beginnings', { ...valid, from: { time: '2026-01-01T00:00:00Z', position: 1 } }, `from: must be one of ${FROM}`],
  ['a mistyped beginning', { ...valid, from: { postion: 1 } }, 'from.postion: unknown field'],
  ['a negative position', { ...valid, from: { position: -1 } }, 'from.position: must be a whole number from 0, not -1'],
  ['a position of 2^53', { ...valid, from: { position: 2 ** 53 } }, 'from.position: must be a whole number from 0'],
  ['a time that is no text', { ...valid, from: { time: new Date(0) } }, 'from.time: must be a string, not 1970'],
  ['a time without an offset', { ...valid, from: { time: '2026-01-01T00:00:00' } }, "00:00' is no time as in RFC 3339"],
  [
    'a day that there is not',
    { ...valid, from: { time: '2026-02-30T00:00:00Z' } },
    "from.time: '2026-02-30T00:00:00Z' is of a day that there is not",
  ],
  ['no handler', { ...valid, handle: undefined }, 'handle, handleBatch: one of the two is required'],
  ['a handler that is null', { ...valid, handle: null }, 'handle: must be a function, not null'],
  ['two handlers', { ...valid, handleBatch: nothing }, 'handle, handleBatch: only one of the two is allowed'],
  ['a wrong key', { ...valid, key: 'sku' }, "key: must be a function, not 'sku'"],
  ['a wrong reset', { ...valid, reset: true }, 'reset: must be a function, not true'],
  ['a wrong preparation', { ...valid, prepare: 'CREATE TABLE' }, "prepare: must be a function, not 'CREATE TABLE'"],
  ['a wrong order', { ...valid, order: 'random' }, "order: must be 'key' or 'none', not 'random'"],
  ['a retry in no object', { ...valid, retry: 4 }, 'retry: must be an object, not 4'],
  ['a mistyped retry', { ...valid, retry: { attemps: 3 } }, 'retry.attemps: unknown field'],
  [
    'no attempts',
    { ...valid, retry: { attempts: 0 } },
    'retry.attempts: must be a whole number from 1 to 32767, not 0',
  ],
  ['a wrong onPoison', { ...valid, onPoison: 'skip' }, "onPoison: must be 'dead-letter' or 'pause', not 'skip'"],
  ['a wrong onLostHistory', { ...valid, onLostHistory: null }, "onLostHistory: must be 'pause' or 'skip', not null"],
  ['a mistyped field', { ...valid, handel: nothing }, 'handel: unknown field'],
  ['a field of event types', { ...valid, schema: {} }, 'schema: unknown field'],
  ['what is no definition', null as never, 'a definition must be an object, not null'],
])('refuses %s', (_, definition, message) => {
  expect(() => defineConsumer(definition as ConsumerDefinition)).toThrow(message)
})

test('names the consumer, and every mistake at once', () => {
  const definition = { ...valid, events: ['', 'a', 'a'], from: 'now', onPoison: 'stop' }
  expect(() => defineConsumer(definition as unknown as ConsumerDefinition)).toThrow(
    `the definition of consumer "invoicing" is wrong:
  events[0]: must be a non-empty string
  events[2]: "a" is named twice
  from: must be ${FROM}, not 'now'
  onPoison: must be 'dead-letter' or 'pause', not 'stop'`,
  )
})

test('a getter or a proxy that throws is named, at any place', () => {
  const definitions: object[] = [
    Object.defineProperty({ ...valid }, 'name', { get: fail, enumerable: true }),
    { ...valid, from: Object.defineProperty({}, 'time', { get: fail, enumerable: true }) },
    { ...valid, events: new Proxy(['a'], { get: fail }) },
    new Proxy(valid, { ownKeys: fail }),
  ]
  for (const definition of definitions) {
    expect(() => defineConsumer(definition as ConsumerDefinition)).toThrow('reading a definition threw not today')
  }
  const trap = new Proxy(nothing, { get: fail })
  expect(() => defineConsumer({ ...valid, name: trap as never })).toThrow(`${NAME}[AsyncFunction: nothing]`)
  expect(() => defineConsumer(trap as never)).toThrow('a definition must be an object, not [AsyncFunction: nothing]')
})

test('later changes, and getters that change their answer, do not affect a checked definition', () => {
  let reads = 0
  const events = ['a.b']
  const from = { position: 5 }
  const retry = { attempts: 2 }
  const written = {
    ...{ ...valid, events, from, retry },
    get order() {
      return reads++ === 0 ? ('none' as const) : (undefined as never)
    },
  }
  const definition = defineConsumer(written)
  events.push('a.b')
  from.position = -1
  retry.attempts = 0
  expect(definition).toMatchObject({
    order: 'none',
    events: ['a.b'],
    from: { position: 5 },
    retry: { attempts: 2 },
  })
})
