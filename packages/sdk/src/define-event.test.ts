/** What defineEvent accepts and refuses, and the types that a user's functions see. */
import { expect, test } from '@jest/globals'
import { type AcceptedEvent, defineEvent, derive, lookup, type Static, Type } from './index.js'

const Sale = Type.Object({ sku: Type.String(), net: Type.Integer(), tax: Type.Integer() })
type SaleEvent = AcceptedEvent<Static<typeof Sale>>

const total = derive('total', ({ data }: SaleEvent) => ({ total: data.net + data.tax }))

test('a definition keeps its fields, and is frozen', () => {
  const written = { type: 'sale.made', schema: Sale, enrich: [total], retry: { attempts: 1 }, order: 'none' } as const
  const definition = defineEvent({ ...written })
  expect(definition).toEqual(written)
  expect(Object.isFrozen(definition)).toBe(true)
})

test('functions see the types of the schema and of the enrichers’ additions', () => {
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

test('also with an enricher written inline', () => {
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

test('an enricher that reads a field that the event lacks is a type error', () => {
  const enricher = derive('discount', ({ data }: AcceptedEvent<{ coupon: string }>) => ({
    discount: data.coupon.length,
  }))
  // @ts-expect-error a sale has no coupon
  defineEvent({ type: 'sale.made', schema: Sale, enrich: [enricher] })
})

const valid = { type: 'sale.made', schema: Sale }
const nothing = async () => {}

test.each<[string, object, string]>([
  ['no type', { schema: Sale }, 'type: must be a non-empty string'],
  ['an empty type', { ...valid, type: ' ' }, 'type: must be a non-empty string'],
  ['a long type', { ...valid, type: 'x'.repeat(201) }, 'type: at most 200 characters, not 201'],
  ['no schema', { type: 'sale.made' }, 'schema: a JSON Schema is required'],
  [
    'a wrong schema',
    { ...valid, schema: { type: 'strnig' } },
    'schema: /type "strnig" is no type of JSON Schema; is "string" meant?',
  ],
  ['an invalid example', { ...valid, example: { sku: 1, net: 1 } }, 'example: /tax must have required property'],
  ['a wrong description', { ...valid, description: 1 }, 'description: must be a string'],
  ['a wrong key', { ...valid, key: 'sku' }, 'key: must be a function'],
  [
    'two handlers',
    { ...valid, handle: nothing, handleBatch: nothing },
    'handle, handleBatch: only one of the two is allowed',
  ],
  ['enrichers in no list', { ...valid, enrich: total }, 'enrich: must be a list of enrichers'],
  [
    'an enricher without a name',
    { ...valid, enrich: [{ enrich: nothing }] },
    'enrich[0].name: must be a non-empty string',
  ],
  ['an enricher without its function', { ...valid, enrich: [{ name: 'a' }] }, 'enrich[0].enrich: must be a function'],
  [
    'two enrichers of a name',
    { ...valid, enrich: [total, total] },
    "enrich[1].name: another enricher is also named 'total'",
  ],
  [
    'no attempts',
    { ...valid, retry: { attempts: 0 } },
    'retry.attempts: must be a whole number from 1 to 32767, not 0',
  ],
  [
    'more attempts than are counted',
    { ...valid, retry: { attempts: 32_768 } },
    'retry.attempts: must be a whole number from 1 to 32767, not 32768',
  ],
  [
    'half an attempt',
    { ...valid, retry: { attempts: 1.5 } },
    'retry.attempts: must be a whole number from 1 to 32767, not 1.5',
  ],
  [
    'a negative delay',
    { ...valid, retry: { baseDelayMs: -1 } },
    'retry.baseDelayMs: must be milliseconds from 0 to 2147483647, not -1',
  ],
  [
    'an endless delay',
    { ...valid, retry: { maxDelayMs: Infinity } },
    'retry.maxDelayMs: must be milliseconds from 0 to 2147483647, not Infinity',
  ],
  ['a mistyped retry', { ...valid, retry: { attemps: 3 } }, 'retry.attemps: unknown field'],
  ['a wrong order', { ...valid, order: 'random' }, "order: must be 'key' or 'none', not 'random'"],
  ['a type with a space before it', { ...valid, type: ' sale.made' }, 'type: begins or ends with a space'],
  [
    'a type with a line break',
    { ...valid, type: 'sale\nmade' },
    'type: contains an invisible character: "sale\\nmade"',
  ],
  ['a type with NUL', { ...valid, type: 'sale\0made' }, 'type: contains an invisible character: "sale\\u0000made"'],
  [
    'a type that is read from right to left',
    { ...valid, type: 'sale\u202emade' },
    'type: contains an invisible character',
  ],
  ['a type with half a character', { ...valid, type: 'sale\ud800' }, 'type: contains half of a surrogate pair'],
  ['a type that is no text', { ...valid, type: 5n }, 'the definition of event type 5n is wrong'],
  ['a type that cannot be a text', { ...valid, type: Object.create(null) }, 'type: must be a non-empty string'],
  [
    'a long description',
    { ...valid, description: 'x'.repeat(2_001) },
    'description: at most 2000 characters, not 2001',
  ],
  [
    'a schema that is a text',
    { ...valid, schema: 'object' },
    'schema: must be an object with the keywords of JSON Schema',
  ],
  [
    'a schema of no event',
    { ...valid, schema: Type.Array(Type.String()) },
    'schema: lets no event through: data is always an object',
  ],
  [
    'an example of BigInt',
    { ...valid, example: { sku: 1n } },
    'example: cannot be written as JSON: Do not know how to serialize a BigInt',
  ],
  [
    'an example with NUL',
    { ...valid, example: { sku: '\0', net: 1, tax: 1 } },
    'example: /sku contains the character NUL',
  ],
  ['an example that is a function', { ...valid, example: nothing }, 'example: cannot be written as JSON'],
  ['enrichers in a set', { ...valid, enrich: new Set([total]) }, 'enrich: must be a list of enrichers, not Set(1)'],
  ['a list with a hole', { ...valid, enrich: Array(1) }, 'enrich[0].name: must be a non-empty string'],
  [
    'attempts that are no number',
    { ...valid, retry: { attempts: NaN } },
    'retry.attempts: must be a whole number from 1 to 32767, not NaN',
  ],
  [
    'attempts as a text',
    { ...valid, retry: { attempts: '4' } },
    "retry.attempts: must be a whole number from 1 to 32767, not '4'",
  ],
  [
    'attempts as a BigInt',
    { ...valid, retry: { attempts: 4n } },
    'retry.attempts: must be a whole number from 1 to 32767, not 4n',
  ],
  ['a symbol for an order', { ...valid, order: Symbol('key') }, "order: must be 'key' or 'none', not Symbol(key)"],
  ['a handler that is null', { ...valid, handle: null }, 'handle: must be a function, not null'],
  ['what is no definition', null as never, 'a definition must be an object, not null'],
  ['a mistyped field', { ...valid, handel: nothing }, 'handel: unknown field'],
])('refuses %s', (_, definition, message) => {
  expect(() => defineEvent(definition as typeof valid)).toThrow(message)
})

test('names the type, and every mistake at once', () => {
  const definition = { ...valid, order: 'random', retry: { attempts: 0 } }
  expect(() => defineEvent(definition as unknown as typeof valid)).toThrow(
    `the definition of event type "sale.made" is wrong:
  retry.attempts: must be a whole number from 1 to 32767, not 0
  order: must be 'key' or 'none', not 'random'`,
  )
})

test('a schema that contains itself is refused without an endless loop', () => {
  const schema: Record<string, unknown> = { type: 'object' }
  schema.properties = { left: schema, right: schema }
  const definition = { type: 'sale.made', schema } as unknown as typeof valid
  expect(() => defineEvent(definition)).toThrow(
    'schema: cannot be written as JSON: Converting circular structure to JSON',
  )
})

test('a recursive schema is accepted', () => {
  const Tree = Type.Recursive((Node) => Type.Object({ name: Type.String(), below: Type.Array(Node) }))
  expect(
    defineEvent({ type: 'tree', schema: Tree, example: { name: 'a', below: [{ name: 'b', below: [] }] } }),
  ).toBeDefined()
})

test('a getter that throws is named, at any place', () => {
  const trap = (field: string) => ({
    get [field](): never {
      throw new Error('not today')
    },
  })
  const whole = trap('schema') as unknown as typeof valid
  expect(() => defineEvent(whole)).toThrow('reading a definition threw not today')
  const enrich = [Object.assign(trap('enrich'), { name: 'a' })] as unknown as []
  expect(() => defineEvent({ ...valid, enrich })).toThrow('enrich: reading it threw not today')
  const proxy = new Proxy(valid, {
    ownKeys: () => {
      throw new Error('not today')
    },
  })
  expect(() => defineEvent(proxy)).toThrow('reading a definition threw not today')
})

test('later changes, and getters that change their answer, do not affect a checked definition', () => {
  let reads = 0
  const retry = { attempts: 2 }
  const written = {
    ...valid,
    get order() {
      return reads++ === 0 ? ('none' as const) : (undefined as never)
    },
    retry,
  }
  const definition = defineEvent(written)
  retry.attempts = 0
  expect(definition).toMatchObject({ order: 'none', retry: { attempts: 2 } })
})

test('tuples of TypeBox become tuples of JSON Schema 2020-12', () => {
  const Point = Type.Object({ at: Type.Tuple([Type.Number(), Type.String()]) })
  const definition = defineEvent({ type: 'point', schema: Point, example: { at: [1, 'm'] } })
  const at = {
    type: 'array',
    prefixItems: [{ type: 'number' }, { type: 'string' }],
    items: false,
    minItems: 2,
    maxItems: 2,
  }
  expect(JSON.parse(JSON.stringify(definition.schema)).properties).toEqual({ at })
  expect(() => defineEvent({ type: 'point', schema: Point, example: { at: [1, 2] as never } })).toThrow(
    'example: /at/1 must be string',
  )
})
