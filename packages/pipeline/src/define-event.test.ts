/** What defineEvent accepts and refuses, and which types it gives to a user's functions. */
import { expect, test } from '@jest/globals'
import { type AcceptedEvent, defineEvent, derive, lookup, type Static, Type } from './index.js'

const Sale = Type.Object({ sku: Type.String(), net: Type.Integer(), tax: Type.Integer() })
type SaleEvent = AcceptedEvent<Static<typeof Sale>>

const total = derive('total', ({ data }: SaleEvent) => ({ total: data.net + data.tax }))

test('a definition is what was written, and frozen', () => {
  const written = { type: 'sale.made', schema: Sale, enrich: [total], retry: { attempts: 1 }, order: 'none' } as const
  const definition = defineEvent({ ...written })
  expect(definition).toEqual(written)
  expect(Object.isFrozen(definition)).toBe(true)
})

test('functions see the types of the schema and of what the enrichers add', () => {
  const definition = defineEvent({
    type: 'sale.made',
    schema: Sale,
    key: (sale) => sale.sku,
    enrich: [
      total,
      lookup({
        table: 'articles',
        key: 'sku',
        columns: ['name'],
        fields: { article: ({ data }: SaleEvent) => data.sku },
      }),
    ],
    validate: ({ data }) => {
      const added: number = data.total
      const name: unknown = data.article.name
      // @ts-expect-error no enricher adds this
      const absent: unknown = data.discount
      return name === 'tea' && added > 0 && absent === undefined ? [] : [{ pointer: '', message: 'wrong' }]
    },
  })
  const data = { sku: 'a', net: 1, tax: 1, total: 2, article: { name: 'tea' } }
  expect(definition.key!(data)).toBe('a')
  expect(definition.validate!({ data } as unknown as AcceptedEvent)).toEqual([])
})

test('also when an enricher is written in place', () => {
  defineEvent({
    type: 'sale.made',
    schema: Sale,
    enrich: [{ name: 'long', enrich: (events) => events.map(({ data }) => ({ long: data.sku.length > 3 })) }],
    validate: ({ data }) => {
      const long: boolean = data.long
      // @ts-expect-error no enricher adds this
      const absent: unknown = data.short
      return [{ pointer: '', message: `${long} ${absent}` }]
    },
  })
})

test('an enricher that reads what the event does not have is no enricher of it', () => {
  const enricher = derive('discount', ({ data }: AcceptedEvent<{ coupon: string }>) => ({
    discount: data.coupon.length,
  }))
  // @ts-expect-error a sale has no coupon
  defineEvent({ type: 'sale.made', schema: Sale, enrich: [enricher] })
})

const valid = { type: 'sale.made', schema: Sale }
const nothing = async () => {}

test.each<[string, object, string]>([
  ['no type', { schema: Sale }, 'type: a text that is not empty'],
  ['an empty type', { ...valid, type: ' ' }, 'type: a text that is not empty'],
  ['a long type', { ...valid, type: 'x'.repeat(201) }, 'type: at most 200 characters, not 201'],
  ['no schema', { type: 'sale.made' }, 'schema: a JSON Schema is required'],
  ['a wrong schema', { ...valid, schema: { type: 'strnig' } }, 'schema: schema is invalid: data/type must be equal'],
  ['an invalid example', { ...valid, example: { sku: 1, net: 1 } }, 'example: /tax must have required property'],
  ['a wrong description', { ...valid, description: 1 }, 'description: a text'],
  ['a wrong key', { ...valid, key: 'sku' }, 'key: a function'],
  [
    'two handlers',
    { ...valid, handle: nothing, handleBatch: nothing },
    'handle, handleBatch: one of the two, not both',
  ],
  ['enrichers in no list', { ...valid, enrich: total }, 'enrich: a list of enrichers'],
  [
    'an enricher without a name',
    { ...valid, enrich: [{ enrich: nothing }] },
    'enrich[0].name: a text that is not empty',
  ],
  ['an enricher without its function', { ...valid, enrich: [{ name: 'a' }] }, 'enrich[0].enrich: a function'],
  [
    'two enrichers of a name',
    { ...valid, enrich: [total, total] },
    "enrich[1].name: there is already one called 'total'",
  ],
  ['no attempts', { ...valid, retry: { attempts: 0 } }, 'retry.attempts: a whole number from 1 to 32767, not 0'],
  [
    'more attempts than are counted',
    { ...valid, retry: { attempts: 32_768 } },
    'retry.attempts: a whole number from 1 to 32767, not 32768',
  ],
  [
    'half an attempt',
    { ...valid, retry: { attempts: 1.5 } },
    'retry.attempts: a whole number from 1 to 32767, not 1.5',
  ],
  [
    'a negative delay',
    { ...valid, retry: { baseDelayMs: -1 } },
    'retry.baseDelayMs: milliseconds from 0 to 2147483647, not -1',
  ],
  [
    'an endless delay',
    { ...valid, retry: { maxDelayMs: Infinity } },
    'retry.maxDelayMs: milliseconds from 0 to 2147483647, not Infinity',
  ],
  ['a mistyped retry', { ...valid, retry: { attemps: 3 } }, 'retry.attemps: there is no such field'],
  ['a wrong order', { ...valid, order: 'random' }, "order: 'key' or 'none', not 'random'"],
  ['a mistyped field', { ...valid, handel: nothing }, 'handel: there is no such field'],
])('refuses %s', (_, definition, message) => {
  expect(() => defineEvent(definition as typeof valid)).toThrow(message)
})

test('names the type, and every mistake at once', () => {
  const definition = { ...valid, order: 'random', retry: { attempts: 0 } }
  expect(() => defineEvent(definition as unknown as typeof valid)).toThrow(
    `event type "sale.made" is not well defined:
  retry.attempts: a whole number from 1 to 32767, not 0
  order: 'key' or 'none', not 'random'`,
  )
})
