/** The door: an admitted event is complete, and a refused one gets the place and the reason of each problem. */
import { createUuidV7, eventIdOf, partitionOf, uuidOf } from '@eventflow/core'
import { defineEvent, type EventDefinition, Type } from '@eventflow/sdk'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Form } from '../http/cloud-event.js'
import { parseExactly } from '../http/exact-json.js'
import { type Admission, type AdmissionContext, admit } from './admit.js'

const MADE_ID = '0189abcd-ef01-7000-8000-000000000000'
const UUID = '50ab5d72-5bed-58a3-ab02-c9f7fb0d68b8'
const NOW = Date.parse('2030-01-01T00:00:00Z')
const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`

const order = defineEvent({
  type: 'order.created',
  schema: Type.Object({ userId: Type.String() }),
  key: (data) => data.userId,
})

const admission = (definitions: EventDefinition[] = [order], eventLimitBytes = 1_000): Admission => ({
  definitions: new Map(definitions.map((definition) => [definition.type, definition])),
  partitions: 16,
  newId: () => MADE_ID,
  now: () => NOW,
  eventLimitBytes,
  maxFutureMs: 3_600_000,
  maxAgeMs: 0,
  onKeyMistake: () => {},
})

const context: AdmissionContext = {
  tenantId: 'default',
  correlationId: undefined,
  traceparent: undefined,
  idempotencyKey: undefined,
}
const event = { type: 'order.created', data: { userId: 'u1' } }

/** As it arrives over HTTP. */
const read = (sent: unknown) => parseExactly(JSON.stringify(sent))

const admitted = (sent: unknown, given: Partial<AdmissionContext> = {}, by = admission(), form: Form = 'plain') => {
  const answer = admit(read(sent), form, { ...context, ...given }, by)
  if ('problems' in answer) throw new Error(JSON.stringify(answer.problems))
  return answer.event
}

const refused = (sent: unknown, by = admission(), form: Form = 'plain') => {
  const answer = admit(read(sent), form, context, by)
  if ('event' in answer) throw new Error(`admitted as ${JSON.stringify(answer.event)}`)
  return answer
}

describe('a refusal points at what is wrong', () => {
  test.each<[string, unknown, string]>([
    ['no object', 'text', ''],
    ['null', null, ''],
    ['a list', [event], ''],
    ['no type', { data: {} }, '/type'],
    ['no data', { type: 'a' }, '/data'],
    ['an empty type', { ...event, type: '' }, '/type'],
    ['a type of more than 200 characters', { ...event, type: 'a'.repeat(201) }, '/type'],
    ['a type that is a number', { ...event, type: 5 }, '/type'],
    ['data that is a list', { ...event, data: [] }, '/data'],
    ['data that is null', { ...event, data: null }, '/data'],
    ['data that is a text', { ...event, data: '{}' }, '/data'],
    ['an attribute that is misspelt', { ...event, patritionkey: 'x' }, '/patritionkey'],
    ['an id that is a number', { ...event, id: 5 }, '/id'],
    ['an empty id', { ...event, id: '' }, '/id'],
    ['an empty key', { ...event, partitionkey: '' }, '/partitionkey'],
    ['another version of CloudEvents', { ...event, specversion: '0.3' }, '/specversion'],
    ['another content type', { ...event, datacontenttype: 'text/xml' }, '/datacontenttype'],
    ['a malformed traceparent', { ...event, traceparent: '00-1-2-3' }, '/traceparent'],
    ['NUL in an attribute', { ...event, source: 'a\0' }, '/source'],
    ['NUL deep in the data', { ...event, data: { a: [{ 'b/c': '\0' }] } }, '/data/a/0/b~1c'],
    ['half a surrogate pair in a name', { ...event, data: { '\ud83d': 1 } }, '/data/\ufffd'],
    ['an integer that was already altered', { ...event, data: { n: 2 ** 53 } }, '/data/n'],
  ])('%s', (_, sent, pointer) => {
    expect(refused(sent).problems.map((problem) => problem.pointer)).toEqual([pointer])
  })

  test('an event may be nested 32 levels deep, itself and its data included, and no deeper', () => {
    const nested = (levels: number): object => (levels === 1 ? {} : { a: nested(levels - 1) })
    expect(admitted({ ...event, data: nested(31) }).type).toBe('order.created')
    expect(refused({ ...event, data: nested(32) }).problems[0]!.message).toMatch(/deeper than 32 levels/)
  })

  test('data may be as large as the limit in bytes of JSON text, and no larger', () => {
    const ofBytes = (bytes: number) => ({ type: 'a', data: { é: 'x'.repeat(bytes - '{"é":""}'.length - 1) } })
    expect(Buffer.byteLength(admitted(ofBytes(1_000)).payload)).toBe(1_000)
    expect(refused(ofBytes(1_001))).toEqual({
      problems: [{ pointer: '/data', message: 'is larger than 1000 bytes as JSON text' }],
      tooLarge: true,
    })
  })
})

describe('the id', () => {
  test('is generated if the producer sends none', () => {
    const { id, externalId } = admitted(event)
    expect([id, externalId]).toEqual([MADE_ID, undefined])
  })

  test('is the producer’s if that is a UUID, in lower case', () => {
    const { id, externalId } = admitted({ ...event, id: UUID.toUpperCase() })
    expect([id, externalId]).toEqual([UUID, undefined])
  })

  test('is otherwise a UUIDv5 of tenant, source and the producer’s id, which is kept', () => {
    const { id, externalId } = admitted({ ...event, id: 'order-1', source: '/shop' })
    expect([id, externalId]).toEqual([uuidOf('default', '/shop', 'order-1'), 'order-1'])
    expect(admitted({ ...event, id: 'order-1' }).id).toBe(uuidOf('default', '/', 'order-1'))
    expect(admitted({ ...event, id: 'order-1' }, { tenantId: 'other' }).id).toBe(uuidOf('other', '/', 'order-1'))
    expect(eventIdOf('default', '/shop', 'order-1')).toBe(id)
    const uuid = admitted({ ...event, id: UUID.toUpperCase(), source: '/shop' })
    expect([uuid.id, uuid.externalId]).toEqual([uuidOf('default', '/shop', UUID), UUID.toUpperCase()])
  })
})

describe('the key', () => {
  test('is the producer’s, or else the definition’s, or else the id', () => {
    expect(admitted({ ...event, partitionkey: 'k' }).key).toBe('k')
    expect(admitted(event).key).toBe('u1')
    expect(admitted({ ...event, type: 'un.known', id: UUID }).key).toBe(UUID)
    expect(admitted({ ...event, type: 'un.known' }).key).toBe(MADE_ID)
  })

  test.each<[string, unknown]>([
    [
      'throws',
      {
        get userId() {
          throw new Error('no')
        },
      },
    ],
    ['gives nothing', {}],
    ['gives no text', { userId: { id: 5 } }],
    ['gives an empty text', { userId: '' }],
  ])('is the id if the definition’s %s', (what, data) => {
    const throwing = {
      ...order,
      key: () => {
        throw new Error('no')
      },
    }
    const by = what === 'throws' ? admission([throwing]) : admission()
    expect(admitted({ ...event, data: what === 'throws' ? {} : data }, {}, by).key).toBe(MADE_ID)
  })

  test('that is computed and too long is refused, because the order of such events would be lost', () => {
    const data = { userId: 'u'.repeat(201) }
    expect(refused({ ...event, data })).toMatchObject({ problems: [{ pointer: '/data' }] })
  })

  const keyed = (answer: unknown) => admission([{ ...order, key: () => answer as never }])

  test('may be an integer', () => {
    expect(admitted(event, {}, keyed(42)).key).toBe('42')
    expect(admitted(event, {}, keyed(2n ** 60n)).key).toBe('1152921504606846976')
  })

  test.each<[unknown, string]>([
    [4.5, 'the number 4.5'],
    [2 ** 53, 'the number 9007199254740992'],
    [true, 'true'],
    [['u1'], 'an array of 1'],
    ['a\0', 'the text "a\\u0000"'],
    ['\ud83d', 'the text "\ufffd"'],
    [Promise.reject(new Error('later')), 'a promise'],
  ])(
    'that is %p is refused, with what the definition is to answer: such events would have no order',
    (answer, what) => {
      expect(refused(event, keyed(answer))).toEqual({
        problems: [
          {
            pointer: '/data',
            message: expect.stringContaining(
              `key of 'order.created' answered ${what}; expected a string or an integer, or undefined if the event has no key`,
            ),
          },
        ],
        misfit: true,
      })
    },
  )

  test('is derived from data that the function cannot change', () => {
    const { problems } = refused(
      event,
      admission([{ ...order, key: (data) => Object.assign(data, { userId: 'x' }).userId as string }]),
    )
    expect(problems[0]!.message).toContain('threw TypeError: Cannot assign to read only property')
  })

  test('that cannot be computed from valid data is refused', () => {
    const key = () => {
      throw new TypeError('x is undefined')
    }
    const { problems } = refused(event, admission([{ ...order, key }]))
    expect(problems[0]!.message).toContain("key of 'order.created' threw TypeError: x is undefined")
  })

  test('decides the partition, together with the tenant', () => {
    const { partition } = admitted({ ...event, partitionkey: 'k' }, { tenantId: 'other' })
    expect(partition).toBe(partitionOf('other', 'k', 16))
  })
})

describe('the time', () => {
  test('is stored as the same time in UTC, and set by Postgres if missing', () => {
    expect(admitted({ ...event, time: '2024-02-29T23:30:00.5+01:00' }).occurredAt).toBe('2024-02-29T22:30:00.500Z')
    expect(admitted({ ...event, time: '2024-02-29T23:59:59.123456Z' }).occurredAt).toBe('2024-02-29T23:59:59.123456Z')
    expect(admitted({ ...event, time: '2016-12-31T23:59:60Z' }).occurredAt).toBe('2017-01-01T00:00:00.000Z')
    expect(admitted(event)).not.toHaveProperty('occurredAt')
  })

  test.each([
    ...['2024-01-01', '2023-02-29T00:00:00Z', '2024-01-01T00:00:00', '2024-01-01T24:00:01Z', 'now', ''],
    ...['2024-01-01 00:00:00Z', '2024-01-01T00:00:00+0100', '2024-01-01T00:00:00.123456789Z'],
  ])('is refused if it is %j', (time) => {
    expect(refused({ ...event, time }).problems).toMatchObject([{ pointer: '/time' }])
  })

  test.each(['0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00', '0000-06-01T00:00:00Z', '9999-12-31T23:59:60Z'])(
    'is refused where it is no moment that can be stored: %s',
    (time) => {
      expect(refused({ ...event, time }).problems).toEqual([
        { pointer: '/time', message: 'is no moment between the years 1 and 9999' },
      ])
    },
  )

  test('may be ahead of the clock up to the limit', () => {
    expect(admitted({ ...event, time: '2030-01-01T01:00:00Z' }).occurredAt).toBe('2030-01-01T01:00:00.000Z')
    expect(refused({ ...event, time: '2030-01-01T01:00:00.001Z' }).problems).toEqual([
      { pointer: '/time', message: 'is more than 60 minutes ahead of the server clock' },
    ])
  })

  test('may be in the past up to the limit', () => {
    const lastDay = { ...admission(), maxAgeMs: 86_400_000 }
    expect(admitted({ ...event, time: '2029-12-31T00:00:00Z' }, {}, lastDay).type).toBe(event.type)
    expect(refused({ ...event, time: '2029-12-30T23:59:59Z' }, lastDay).problems).toEqual([
      { pointer: '/time', message: 'is more than 1 days ago' },
    ])
    expect(admitted({ ...event, time: '0001-01-01T00:00:00Z' }).type).toBe(event.type)
  })

  test('of any form is refused or becomes a time with a four-digit year', () => {
    const digits = (length: number) => fc.nat(10 ** length - 1).map((n) => String(n).padStart(length, '0'))
    const time = fc
      .tuple(
        ...[digits(4), digits(2), digits(2), fc.constantFrom('T', 't', ' ', '\n'), digits(2), digits(2), digits(2)],
        fc.constantFrom('', '.1', '.123456789'),
        fc.constantFrom('Z', 'z', '+00:00', '-23:59', '+23:59', '+0100', '+01', ''),
      )
      .map(([y, mo, d, t, h, mi, s, fraction, zone]) => `${y}-${mo}-${d}${t}${h}:${mi}:${s}${fraction}${zone}`)
    const plausible = fc
      .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
      .map((date) => date.toISOString())
    fc.assert(
      fc.property(fc.oneof(time, plausible), (given) => {
        const answer = admit(read({ ...event, time: given }), 'plain', context, admission())
        if ('problems' in answer) expect(answer.problems).toMatchObject([{ pointer: '/time' }])
        else expect(answer.event.occurredAt).toMatch(/^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z$/)
      }),
    )
  })
})

describe('attributes of the event take precedence over headers of the request', () => {
  test('for the correlation id, which defaults to the event’s id', () => {
    expect(admitted({ ...event, correlationid: 'c' }, { correlationId: 'r' }).correlationId).toBe('c')
    expect(admitted(event, { correlationId: 'r' }).correlationId).toBe('r')
    expect(admitted(event).correlationId).toBe(MADE_ID)
  })

  test('for the trace', () => {
    const other = TRACEPARENT.replace('a', 'c')
    expect(admitted({ ...event, traceparent: TRACEPARENT }, { traceparent: other }).traceparent).toBe(TRACEPARENT)
    expect(admitted(event, { traceparent: other }).traceparent).toBe(other)
    expect(admitted(event)).not.toHaveProperty('traceparent')
  })
})

test('a complete CloudEvent is admitted with all its attributes', () => {
  const sent = {
    specversion: '1.0',
    datacontenttype: 'application/json',
    type: 'order.created',
    id: UUID,
    source: '/shop',
    time: '2024-01-01T00:00:00Z',
    partitionkey: 'k',
    correlationid: 'c',
    causationid: 'cause',
    traceparent: TRACEPARENT,
    data: { b: 1, a: { c: null } },
  }
  expect(admitted(sent)).toEqual({
    tenantId: 'default',
    id: uuidOf('default', '/shop', UUID),
    externalId: UUID,
    type: 'order.created',
    source: '/shop',
    key: 'k',
    partition: partitionOf('default', 'k', 16),
    occurredAt: '2024-01-01T00:00:00.000Z',
    correlationId: 'c',
    causationId: 'cause',
    traceparent: TRACEPARENT,
    payload: '{"b":1,"a":{"c":null}}',
  })
})

describe('a CloudEvent', () => {
  const cloudEvent = { specversion: '1.0', id: 'order-1', source: '/shop', ...event }

  test('keeps subject, dataschema and its extensions', () => {
    const extensions = { subject: 'cups', dataschema: 'urn:order', tracestate: 'a=b', sampled: true, sequence: -7 }
    expect(admitted({ ...cloudEvent, ...extensions }, {}, admission(), 'cloudevent').extensions).toEqual(extensions)
    expect(admitted(cloudEvent, {}, admission(), 'cloudevent')).not.toHaveProperty('extensions')
  })

  test.each<[string, object, string]>([
    ['without an id', { id: undefined }, '/id'],
    ['without a source', { source: undefined }, '/source'],
    ['without a specversion', { specversion: undefined }, '/specversion'],
    ['of another version', { specversion: '0.3' }, '/specversion'],
    ['with data that is no JSON', { datacontenttype: 'text/xml' }, '/datacontenttype'],
    ['with an extension that has a capital letter', { subJect: 'x' }, '/subJect'],
    ['with an extension that is an object', { vendor: {} }, '/vendor'],
    ['with an extension that is a fraction', { ratio: 0.5 }, '/ratio'],
    ['with an extension that is too long', { vendor: 'x'.repeat(1_001) }, '/vendor'],
    ['with too many attributes', Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`x${n}`, 1])), ''],
  ])('%s is refused', (_, change, pointer) => {
    const { problems } = refused({ ...cloudEvent, ...change }, admission(), 'cloudevent')
    expect(new Set(problems.map((problem) => problem.pointer))).toEqual(new Set([pointer]))
  })

  test('of another version is refused with the accepted version', () => {
    const { problems } = refused({ ...cloudEvent, specversion: '0.3' }, admission(), 'cloudevent')
    expect(problems).toEqual([{ pointer: '/specversion', message: 'must be "1.0"' }])
  })
})

describe('the Idempotency-Key', () => {
  test('gives the same id each time, and a different one in another tenant', () => {
    const { id } = admitted(event, { idempotencyKey: 'k' })
    expect(admitted(event, { idempotencyKey: 'k' }).id).toBe(id)
    expect(admitted(event, { idempotencyKey: 'l' }).id).not.toBe(id)
    expect(admitted(event, { idempotencyKey: 'k', tenantId: 'other' }).id).not.toBe(id)
    expect(admitted({ ...event, id: 'k', source: 'idempotency-key' }).id).not.toBe(id)
  })

  test('is ignored if the event has an id', () => {
    expect(admitted({ ...event, id: UUID }, { idempotencyKey: 'k' }).id).toBe(UUID)
  })
})

test('any JSON is admitted or refused without throwing, and an admitted payload is the unchanged data', () => {
  const by: Admission = {
    ...admission(),
    newId: createUuidV7(
      () => 0,
      (buffer) => buffer.fill(0),
    ),
    eventLimitBytes: 1e6,
  }
  const envelope = fc.record(
    {
      type: fc.string(),
      data: fc.dictionary(fc.string(), fc.jsonValue()),
      id: fc.string(),
      partitionkey: fc.string(),
      x: fc.jsonValue(),
    },
    { requiredKeys: ['type', 'data'] },
  )
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), envelope, envelope), (given) => {
      // Names that could reach a prototype are refused when the JSON is read, which other tests check.
      fc.pre(!/__proto__|constructor/.test(JSON.stringify(given)))
      const sent = JSON.parse(JSON.stringify(given))
      const answer = admit(read(given), 'plain', context, by)
      if ('problems' in answer) expect(answer.problems.length).toBeGreaterThan(0)
      else expect(JSON.parse(answer.event.payload)).toEqual(sent.data)
    }),
  )
})
