/**
 * The door against whatever can be sent: never a 5xx, never a crash, always a problem that says what is wrong; and what is
 * accepted comes out as it went in, down to the last digit.
 */
import { randomUUID } from 'node:crypto'
import { deflateSync, gzipSync } from 'node:zlib'
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Contract, readContract } from '../contract.js'
import { unstalled } from '../unstalled.js'

const RUNS = 150

let pipeline: TestPipeline
let contract: Contract
let accepted = 0
/** How often each code was answered. */
const refused = new Map<ProblemCode, number>()

beforeAll(async () => {
  pipeline = await startPipeline([], { EVENTFLOW_BODY_LIMIT_BYTES: '100000', EVENTFLOW_BATCH_LIMIT: '20' })
  contract = await readContract(pipeline.url)
})

afterAll(() => pipeline.stop())

const ROUTES = { '/v1/events': 'application/json', '/v1/events/batch': 'application/x-ndjson' }
type Route = keyof typeof ROUTES

/** Sends it, and expects an answer soon that a client can work with. Gives the ids of what was accepted, by their places. */
function send(route: Route, body: string | Uint8Array, headers: Record<string, string> = {}) {
  return unstalled(() => sendOnce(route, body, headers))
}

async function sendOnce(route: Route, body: string | Uint8Array, headers: Record<string, string>) {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }
  const { status, body: answer } = await contract.ask(route, init)
  if (status >= 400) {
    expectRefusal(status, answer)
    return new Map<number, string>()
  }
  if (route === '/v1/events') {
    expect(status).toBe(202)
    if (!answer.duplicate) accepted++
    return new Map([[0, answer.id as string]])
  }
  expect(status).toBe(200)
  accepted += answer.accepted
  for (const { status, error } of answer.items) if (status === 'rejected') expectProblem(error)
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  const taken = answer.items.filter(({ status }: any) => status === 'accepted')
  return new Map<number, string>(taken.map(({ index, id }: { index: number; id: string }) => [index, id]))
}

/** Expects a problem in the place of an answer, and notes it. */
function expectRefusal(status: number, problem: Refusal) {
  expectProblem(problem)
  expect(status).toBe(problem.status)
  refused.set(problem.code, (refused.get(problem.code) ?? 0) + 1)
}

interface Refusal {
  code: ProblemCode
  status: number
  detail: string
}

function expectProblem(problem: Refusal) {
  expect(Object.keys(PROBLEMS)).toContain(problem.code)
  expect(problem.status).toBe(PROBLEMS[problem.code].status)
  expect(problem.status).toBeGreaterThanOrEqual(400)
  expect(problem.status).toBeLessThan(500)
  expect(problem.detail).toMatch(/./)
}

/** Expects that an event has the data that was sent, as text: the same names in the same order, the same numbers. */
async function expectKept(id: string, data: unknown) {
  const { body: event } = await contract.ask(`/v1/events/${id}`)
  expect(JSON.stringify(event.data)).toBe(JSON.stringify(data))
}

/** Digits without zeros at their ends, and the exponent of the last. */
function decimalOf(text: string): [digits: string, exponent: number] {
  const [mantissa, exponent = '0'] = text.toLowerCase().split('e')
  const [whole, fraction = ''] = mantissa!.replace('-', '').split('.')
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const kept = digits.replace(/0+$/, '')
  return kept === '' ? ['', 0] : [kept, Number(exponent) - fraction.length + digits.length - kept.length]
}

/** Expects that JavaScript gives back the number that was sent; 16 and 17 digits are how some write a double. */
function expectSameNumber(sent: string) {
  const digits = decimalOf(sent)[0].length
  if (digits < 16 || digits > 17) expect([sent, decimalOf(String(Number(sent)))]).toEqual([sent, decimalOf(sent)])
}

const holds = <Case>(cases: fc.Arbitrary<Case>, check: (one: Case) => Promise<void>) =>
  fc.assert(fc.asyncProperty(cases, check), {
    numRuns: RUNS,
    interruptAfterTimeLimit: 25_000,
    markInterruptAsFailure: true,
  })

const route = fc.constantFrom<Route>('/v1/events', '/v1/events/batch')
/** Any code points, with NUL and halves of surrogate pairs among them. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)), maxLength: 10 }),
  fc.constantFrom(
    "'; DROP TABLE raw_events --",
    '\r\nSet-Cookie: a=b',
    '%n%s',
    '../../etc/passwd',
    '__proto__',
    'constructor',
    'toString',
  ),
)
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  text,
  fc.double(),
  fc.constantFrom(null, true, '', 0, -1, 2 ** 53, 1e300, [], {}),
)
const event = fc.record({ type: fc.constant('note.taken'), data: fc.dictionary(text, value, { maxKeys: 5 }) })
const encoded = event.map((sent) => new Uint8Array(Buffer.from(JSON.stringify(sent))))

/** Bytes with something done to them. */
const mutated = (bytes: fc.Arbitrary<Uint8Array>) =>
  fc
    .tuple(
      bytes,
      fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'cut', 'repeat')), {
        minLength: 1,
        maxLength: 4,
      }),
    )
    .map(([original, changes]) => {
      let sent = [...original]
      for (const [place, byte, what] of changes) {
        const at = place % (sent.length + 1)
        if (what === 'set') sent[at] = byte
        else if (what === 'insert') sent.splice(at, 0, byte)
        else if (what === 'cut') sent.splice(at, 1 + (byte % 8))
        else sent = [...sent.slice(0, at), ...sent.slice(Math.max(0, at - byte))]
      }
      return Uint8Array.from(sent)
    })

describe('is answered, not with a 5xx:', () => {
  test('any bytes', () =>
    holds(fc.tuple(route, fc.uint8Array({ maxLength: 200 }), fc.boolean()), async ([to, body, lines]) => {
      await send(to, body, lines ? { 'content-type': ROUTES[to] } : {})
    }))

  test('JSON that was damaged on its way', () =>
    holds(fc.tuple(route, mutated(encoded), fc.boolean()), async ([to, body, lines]) => {
      await send(to, body, lines ? { 'content-type': ROUTES[to] } : {})
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
      await send(
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
      for (const id of (await send('/v1/events', body)).values()) {
        await expectKept(id, JSON.parse(body).data)
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
      await send('/v1/events', JSON.stringify({ type: 'note.taken', time: sent, data: {} }))
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
      await send(to, JSON.stringify(sent), given)
    })
  })

  test('bodies that are no gzip, or no more', () =>
    holds(
      fc.tuple(route, mutated(encoded.map((bytes) => gzipSync(bytes))), fc.constantFrom('gzip', 'deflate', 'br')),
      async ([to, body, encoding]) => {
        await send(to, body, { 'content-encoding': encoding })
      },
    ))

  test('anything where an id belongs', () =>
    holds(fc.tuple(text, text), async ([id, source]) => {
      const query = new URLSearchParams({ source: source.toWellFormed(), wait: '0s' })
      const path = `/v1/events/${encodeURIComponent(id.toWellFormed())}?${query}`
      const { status, body } = await contract.ask(path)
      if (status !== 200) expectRefusal(status, body)
    }))
})

/** Schemas that nobody would write, of the parts that real ones have, and of parts that have done harm elsewhere. */
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

/** Fewer than of the others: each that is not refused at sight takes a thread of its own. */
const SCHEMA_RUNS = 60

test('schemas that mean harm are refused, or taken, and nobody waits', async () => {
  let taken = 0
  const register = (schema: object) =>
    contract.ask(`/v1/schemas/evil.${taken}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ schema }),
    })
  const property = fc.asyncProperty(
    fc.oneof(evilSchema, fc.record({ type: fc.constant('object'), properties: fc.dictionary(text, evilSchema) })),
    async (schema) => {
      const { status, body } = await unstalled(() => register(schema))
      if (status >= 400) expectRefusal(status, body)
      else taken++
    },
  )
  await fc.assert(property, { numRuns: SCHEMA_RUNS })
}, 120_000)

describe('what is accepted comes out as it went in:', () => {
  test('one event', () =>
    holds(fc.tuple(event, fc.constantFrom('none', 'gzip', 'deflate')), async ([sent, encoding]) => {
      const body = JSON.stringify(sent)
      const compressed = { none: body, gzip: gzipSync(body), deflate: deflateSync(body) }[encoding]
      const headers = encoding === 'none' ? {} : { 'content-encoding': encoding }
      for (const id of (await send('/v1/events', compressed!, headers)).values())
        await expectKept(id, JSON.parse(body).data)
    }))

  test('a batch, each of it', () =>
    holds(fc.tuple(fc.array(event, { maxLength: 8 }), fc.boolean()), async ([sent, lines]) => {
      const body = lines ? sent.map((one) => JSON.stringify(one)).join('\n') : JSON.stringify(sent)
      const ids = await send('/v1/events/batch', body, lines ? { 'content-type': 'application/x-ndjson' } : {})
      for (const [index, id] of ids) await expectKept(id, JSON.parse(JSON.stringify(sent[index]!.data)))
    }))
})

test('no more and no less was stored than was accepted, and the next event is', async () => {
  const { rows } = await pipeline.db.query('SELECT count(*)::integer AS count FROM raw_events')
  expect(rows[0].count).toBe(accepted)
  expect(accepted).toBeGreaterThan(RUNS)
  expect((await send('/v1/events', '{"type":"note.taken","data":{}}')).size).toBe(1)
  expect(pipeline.logged.filter(({ level }) => level === 'error')).toEqual([])
})

test('what was refused is counted by its code, and nothing else', async () => {
  const { values } = await pipeline.ingestMetrics.requestsRefused.get()
  const counted = values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.code, value])
  expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(refused))
})
