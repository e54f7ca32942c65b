/**
 * Ingest against any input: never a 5xx, never a crash, always a problem that says what is wrong; and accepted data is
 * returned unchanged, to the last digit.
 */
import { randomUUID } from 'node:crypto'
import { deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { encoded, event, holds, mutated, ROUTES, RUNS, route, startHostile, text, value } from '../hostile.js'
import { unstalled } from '../unstalled.js'

const tested = startHostile()

/** The digits without outer zeros, and the exponent of the last. */
function decimalOf(text: string): [digits: string, exponent: number] {
  const [mantissa, exponent = '0'] = text.toLowerCase().split('e')
  const [whole, fraction = ''] = mantissa!.replace('-', '').split('.')
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const kept = digits.replace(/0+$/, '')
  return kept === '' ? ['', 0] : [kept, Number(exponent) - fraction.length + digits.length - kept.length]
}

/** Checks that JavaScript reads the number that was sent; some write a double with 16 or 17 digits. */
function expectSameNumber(sent: string) {
  const digits = decimalOf(sent)[0].length
  if (digits < 16 || digits > 17) expect([sent, decimalOf(String(Number(sent)))]).toEqual([sent, decimalOf(sent)])
}

describe('is answered, not with a 5xx:', () => {
  test('any bytes', () =>
    holds(fc.tuple(route, fc.uint8Array({ maxLength: 200 }), fc.boolean()), async ([to, body, lines]) => {
      await tested.door.send(to, body, lines ? { 'content-type': ROUTES[to] } : {})
    }))

  test('damaged JSON', () =>
    holds(fc.tuple(route, mutated(encoded), fc.boolean()), async ([to, body, lines]) => {
      await tested.door.send(to, body, lines ? { 'content-type': ROUTES[to] } : {})
    }))

  test('anything in any attribute', () => {
    const names = [
      'type',
      'id',
      'source',
      'time',
      'partitionkey',
      'correlationid',
      'causationid',
      'traceparent',
      'specversion',
      'datacontenttype',
      'subject',
      'data',
      'data_base64',
    ]
    const attributes = fc.dictionary(fc.oneof(fc.constantFrom(...names), text), fc.oneof(value, text))
    const type = fc.constantFrom('application/json', 'application/cloudevents+json')
    return holds(fc.tuple(event, attributes, type), async ([sent, given, contentType]) => {
      await tested.door.send(
        '/v1/events',
        JSON.stringify({ specversion: '1.0', id: randomUUID(), source: '/', ...sent, ...given }),
        { 'content-type': contentType },
      )
    })
  })

  test('numbers of any form', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 25 })
    const number = fc.tuple(
      fc.constantFrom('', '-', '+', '0'),
      digits,
      fc.constantFrom('', '.', '.0', '.5', '.00000000000000000001', 'e5', 'E-5', 'e400', 'e-400', 'x'),
    )
    return holds(fc.array(number, { minLength: 1, maxLength: 3 }), async (numbers) => {
      const body = `{"type":"note.taken","data":{"n":[${numbers.map((parts) => parts.join(''))}]}}`
      for (const id of (await tested.door.send('/v1/events', body)).values()) {
        await tested.door.expectKept(id, JSON.parse(body).data)
        for (const parts of numbers) expectSameNumber(parts.join(''))
      }
    })
  })

  test('times of any form', () => {
    const two = fc.nat(99).map((n) => `${n}`.padStart(2, '0'))
    const time = fc.tuple(
      fc.nat(9999),
      two,
      two,
      fc.constantFrom('T', 't', ' ', ''),
      two,
      two,
      two,
      fc.constantFrom('', '.1', '.999999999999'),
      fc.constantFrom('Z', 'z', '', '+01:00', '-24:00', '+0100'),
    )
    return holds(time, async ([year, month, day, t, hours, minutes, seconds, fraction, zone]) => {
      const sent = `${`${year}`.padStart(4, '0')}-${month}-${day}${t}${hours}:${minutes}:${seconds}${fraction}${zone}`
      await tested.door.send('/v1/events', JSON.stringify({ type: 'note.taken', time: sent, data: {} }))
    })
  })

  test('anything in the headers that we read', () => {
    const names = [
      'ce-specversion',
      'ce-id',
      'ce-type',
      'ce-source',
      'ce-time',
      'ce-subject',
      'ce-data',
      'ce-vendor',
      'ce-__proto__',
      'idempotency-key',
      'x-correlation-id',
      'traceparent',
      'tracestate',
      'x-operator',
      'content-type',
      'content-encoding',
      'accept',
      'prefer',
    ]
    const latin1 = fc.string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((c) => c !== 0x7f)
        .map((c) => String.fromCharCode(c)),
      maxLength: 30,
    })
    const percent = fc
      .uint8Array({ maxLength: 8 })
      .map((bytes) => [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''))
    const headers = fc.dictionary(
      fc.constantFrom(...names),
      fc.oneof(latin1, percent, fc.constantFrom('1.0', 'gzip', 'application/json', 'text/plain', '"', '""')),
    )
    return holds(fc.tuple(route, event, headers), async ([to, sent, given]) => {
      await tested.door.send(to, JSON.stringify(sent), given)
    })
  })

  test('bodies that are no gzip, or damaged gzip', () =>
    holds(
      fc.tuple(route, mutated(encoded.map((bytes) => gzipSync(bytes))), fc.constantFrom('gzip', 'deflate', 'br')),
      async ([to, body, encoding]) => {
        await tested.door.send(to, body, { 'content-encoding': encoding })
      },
    ))

  test('anything in the place of an id', () =>
    holds(fc.tuple(text, text), async ([id, source]) => {
      const query = new URLSearchParams({ source: source.toWellFormed(), wait: '0s' })
      const path = `/v1/events/${encodeURIComponent(id.toWellFormed())}?${query}`
      const { status, body } = await tested.door.contract.ask(path)
      if (status !== 200) tested.door.expectRefusal(status, body)
    }))
})

/** Hostile schemas, made of the parts of real ones and of parts that have done harm elsewhere. */
const evilSchema = fc.letrec<{ schema: object }>((tie) => {
  const schema = tie('schema')
  const schemas = fc.array(schema, { maxLength: 3 })
  const named = fc.dictionary(fc.oneof(text, fc.constantFrom('a', 'b', '$defs')), schema, { maxKeys: 3 })
  const pattern = fc.oneof(
    fc.constantFrom(
      '^(a|a)*$',
      '^(a+)+$',
      '^a*a*a*a*b$',
      '(?<=a{1,9}){9}',
      '^[^]*$',
      '\\',
      '^\\p{L}+$',
      '^a{1,99999}$',
    ),
    fc.string({ unit: fc.constantFrom(...'^$()|*+?{}[]\\ab.,1-'), maxLength: 20 }),
  )
  const leaf = fc.record(
    {
      type: fc.oneof(fc.constantFrom('object', 'array', 'string', 'integer', 'null'), value),
      pattern,
      patternProperties: fc.dictionary(pattern, fc.constant({})),
      $ref: fc.constantFrom(
        '#',
        '#/$defs/a',
        '#/properties/a',
        'http://127.0.0.1/a',
        '/v1/schemas',
        '#/$defs/__proto__',
      ),
      minimum: fc.oneof(fc.double(), fc.constant({ $data: '1/a' })),
      multipleOf: fc.constantFrom(0, 1e-300, 1e300, -1),
      minLength: fc.constantFrom(-1, 2 ** 53, 1e308),
      format: fc.oneof(text, fc.constantFrom('date-time', 'regex', 'email')),
      enum: fc.array(value, { maxLength: 5 }),
      uniqueItems: fc.boolean(),
      default: value,
      $id: text,
      $schema: text,
    },
    { requiredKeys: [] },
  )
  const parts = { properties: named, $defs: named, items: schema, prefixItems: schemas, allOf: schemas, anyOf: schemas }
  return {
    schema: fc.oneof(
      { maxDepth: 2 },
      leaf,
      fc.record({ ...parts, oneOf: schemas, not: schema, contains: schema }, { requiredKeys: [] }),
    ),
  }
}).schema

/** Fewer than of the others: each that is not refused at once takes a thread. */
const SCHEMA_RUNS = 60

test('hostile schemas are refused, or accepted, and no other request waits', async () => {
  let taken = 0
  const register = (schema: object) =>
    tested.door.contract.ask(`/v1/schemas/evil.${taken}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ schema }),
    })
  const property = fc.asyncProperty(
    fc.oneof(evilSchema, fc.record({ type: fc.constant('object'), properties: fc.dictionary(text, evilSchema) })),
    async (schema) => {
      const { status, body } = await unstalled(() => register(schema))
      if (status >= 400) tested.door.expectRefusal(status, body)
      else taken++
    },
  )
  await fc.assert(property, { numRuns: SCHEMA_RUNS })
}, 120_000)

describe('accepted data is returned unchanged:', () => {
  test('one event', () =>
    holds(fc.tuple(event, fc.constantFrom('none', 'gzip', 'deflate')), async ([sent, encoding]) => {
      const body = JSON.stringify(sent)
      const compressed = { none: body, gzip: gzipSync(body), deflate: deflateSync(body) }[encoding]
      const headers = encoding === 'none' ? {} : { 'content-encoding': encoding }
      for (const id of (await tested.door.send('/v1/events', compressed!, headers)).values())
        await tested.door.expectKept(id, JSON.parse(body).data)
    }))

  test('each event of a batch', () =>
    holds(fc.tuple(fc.array(event, { maxLength: 8 }), fc.boolean()), async ([sent, lines]) => {
      const body = lines ? sent.map((one) => JSON.stringify(one)).join('\n') : JSON.stringify(sent)
      const ids = await tested.door.send(
        '/v1/events/batch',
        body,
        lines ? { 'content-type': 'application/x-ndjson' } : {},
      )
      for (const [index, id] of ids) await tested.door.expectKept(id, JSON.parse(JSON.stringify(sent[index]!.data)))
    }))
})

test('exactly the accepted events were stored, and the next event is accepted', async () => {
  const { rows } = await tested.pipeline.db.query('SELECT count(*)::integer AS count FROM raw_events')
  expect(rows[0].count).toBe(tested.door.accepted())
  expect(tested.door.accepted()).toBeGreaterThan(RUNS)
  expect((await tested.door.send('/v1/events', '{"type":"note.taken","data":{}}')).size).toBe(1)
  expect(tested.pipeline.logged.filter(({ level }) => level === 'error')).toEqual([])
})

test('refusals are counted by their codes, and nothing else is', async () => {
  const { values } = await tested.pipeline.ingestMetrics.requestsRefused.get()
  const counted = values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.code, value])
  expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(tested.door.refused))
})
