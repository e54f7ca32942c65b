/** Ingest with invalid input: always a problem that says what is wrong, never a 5xx, nothing stored. */
import { randomUUID } from 'node:crypto'
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { type BatchAnswer, post, startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([], {
    EVENTFLOW_BODY_LIMIT_BYTES: '200000',
    EVENTFLOW_EVENT_LIMIT_BYTES: '1000',
    EVENTFLOW_BATCH_LIMIT: '10',
  })
})

afterAll(() => pipeline.stop())

const stored = async () =>
  (await pipeline.db.query('SELECT count(*)::integer AS count FROM raw_events')).rows[0].count as number

/** Checks that an answer is a refusal with this code. Returns its body. */
async function problemOf(response: Response, code: ProblemCode) {
  const problem = (await response.json()) as { errors?: { pointer: string; message: string }[]; detail: string }
  expect(problem).toMatchObject({
    type: `urn:eventflow:problem:${code}`,
    title: PROBLEMS[code].title,
    status: PROBLEMS[code].status,
    code,
    detail: expect.stringMatching(/./),
  })
  expect(response.status).toBe(PROBLEMS[code].status)
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  return problem
}

/** An event as JSON text, with `data` exactly as given. */
const withData = (data: string) => `{"type":"note.taken","data":${data}}`
const nested = (levels: number) => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`

const INVALID: [what: string, event: string, pointer: string][] = [
  ['no type', '{"data":{}}', '/type'],
  ['an empty type', '{"type":"","data":{}}', '/type'],
  ['a type that is too long', `{"type":"${'x'.repeat(201)}","data":{}}`, '/type'],
  ['an id that is null', '{"type":"t","id":null,"data":{}}', '/id'],
  ['an id that is empty', '{"type":"t","id":"","data":{}}', '/id'],
  ['an id that is a number', '{"type":"t","id":17,"data":{}}', '/id'],
  ['a key that is null', '{"type":"t","partitionkey":null,"data":{}}', '/partitionkey'],
  ['a key that is true', '{"type":"t","partitionkey":true,"data":{}}', '/partitionkey'],
  ['data that is null', withData('null'), '/data'],
  ['data that is a text', withData('""'), '/data'],
  ['data that is a list', withData('[]'), '/data'],
  ['an unknown attribute', '{"type":"t","data":{},"a/b~":2}', '/a~1b~0'],
  ['another specversion', '{"specversion":"0.3","type":"t","data":{}}', '/specversion'],
  ['a time without a zone', '{"type":"t","time":"2001-01-01T00:47:00","data":{}}', '/time'],
  ['a time that is no date', '{"type":"t","time":"2001-02-30T00:00:00Z","data":{}}', '/time'],
  ['a time before the year 1', '{"type":"t","time":"0000-12-31T00:00:00Z","data":{}}', '/time'],
  ['a time before the year 1 in UTC', '{"type":"t","time":"0001-01-01T00:00:00+10:00","data":{}}', '/time'],
  ['a second 60 in another minute', '{"type":"t","time":"2016-12-31T23:58:60Z","data":{}}', '/time'],
  ['a time with nanoseconds', '{"type":"t","time":"2016-12-31T23:58:00.123456789Z","data":{}}', '/time'],
  ['a time with a blank', '{"type":"t","time":"2016-12-31 23:58:00Z","data":{}}', '/time'],
  [
    'a traceparent without a trace',
    `{"type":"t","traceparent":"00-${'0'.repeat(32)}-b7ad6b7169203331-01","data":{}}`,
    '/traceparent',
  ],
  [
    'a traceparent without a span',
    `{"type":"t","traceparent":"00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01","data":{}}`,
    '/traceparent',
  ],
  [
    'a traceparent of version ff',
    '{"type":"t","traceparent":"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","data":{}}',
    '/traceparent',
  ],
  ['a subject that is too long', `{"type":"t","subject":"${'x'.repeat(1_001)}","data":{}}`, '/subject'],
  ['a dataschema that is too long', `{"type":"t","dataschema":"${'x'.repeat(1_001)}","data":{}}`, '/dataschema'],
  ['a malformed traceparent', '{"type":"t","traceparent":"00-1-2-3","data":{}}', '/traceparent'],
  ['2^53 + 1', withData('{"a":{"n":9007199254740993}}'), '/data/a/n'],
  ['a number beyond a double', withData('{"n":[1,1e400]}'), '/data/n/1'],
  ['NUL in a text', withData('{"a/b":"x\\u0000"}'), '/data/a~1b'],
  ['NUL in a name', withData('{"x\\u0000":1}'), '/data/x\0'],
  ['NUL in the key', '{"type":"t","partitionkey":"\\u0000","data":{}}', '/partitionkey'],
  ['half of a surrogate pair in a text', withData('{"a":["\\ud83d"]}'), '/data/a/0'],
  ['half of a surrogate pair in a name', withData('{"\\udc00":1}'), '/data/\ufffd'],
  ['half of a surrogate pair in the id', '{"type":"t","id":"\\ud83d","data":{}}', '/id'],
  ['a number too small for a double', withData('{"n":0.1e-400}'), '/data/n'],
  ['more digits than a double has', withData('{"n":0.1234567890123456789}'), '/data/n'],
  ['a name that comes twice in its data', withData('{"a":{"b":1,"b":1}}'), '/data/a/b'],
  ['a name that comes twice', '{"type":"t","data":{},"type":"t"}', '/type'],
  [
    'a time that is two days ahead',
    `{"type":"t","time":"${new Date(Date.now() + 172_800_000).toISOString()}","data":{}}`,
    '/time',
  ],
  ['33 levels', withData(nested(32)), `/data${'/a'.repeat(31)}`],
  ['65 levels', withData(nested(64)), `/data${'/a'.repeat(31)}`],
  ['9,000 levels', withData(nested(9_000)), `/data${'/a'.repeat(31)}`],
  ['__proto__', withData('{"a":[{"__proto__":{"admin":true}}]}'), '/data/a/0/__proto__'],
  ['__proto__ in disguise', withData('{"\\u005f_proto__":{"admin":true}}'), '/data/__proto__'],
  ['constructor.prototype', withData('{"constructor":{"prototype":{}}}'), '/data/constructor/prototype'],
  ['another content type', '{"type":"t","datacontenttype":"text/xml","data":{}}', '/datacontenttype'],
  [
    'another character set',
    '{"type":"t","datacontenttype":"application/json; charset=latin1","data":{}}',
    '/datacontenttype',
  ],
]

describe('an event with', () => {
  test.each(INVALID)('%s is refused, with the place', async (_, event, pointer) => {
    const before = await stored()
    const { errors } = await problemOf(await post(`${pipeline.url}/v1/events`, event), 'invalid-event')
    expect(errors).toEqual([{ pointer, message: expect.stringMatching(/./) }])
    expect(await stored()).toBe(before)
  })

  test('any of these in a batch is refused there as well, and affects no other', async () => {
    for (let from = 0; from < INVALID.length; from += 5) {
      const bad = INVALID.slice(from, from + 5)
      const good = withData('{}')
      const all = [...bad.map(([, event]) => event), good]
      for (const [type, body] of [
        ['json', `[${all.join()}]`],
        ['x-ndjson', all.join('\n')],
      ] as const) {
        const headers = { 'content-type': `application/${type}` }
        const sent = await post(`${pipeline.url}/v1/events/batch`, body, headers)
        expect(sent.status).toBe(200)
        const { items } = (await sent.json()) as BatchAnswer
        expect(items.map(({ error }) => error?.errors?.[0]?.pointer)).toEqual([...bad.map(([, , at]) => at), undefined])
        expect(items.at(-1)).toMatchObject({ status: 'accepted' })
      }
    }
  })
})

test('all mistakes of an event are reported', async () => {
  const { errors } = await problemOf(await post(`${pipeline.url}/v1/events`, '{"id":"","x":1}'), 'invalid-event')
  expect(errors?.map(({ pointer }) => pointer).sort()).toEqual(['/data', '/id', '/type', '/x'])
})

test('an event of 32 levels is not too deep', async () => {
  expect((await post(`${pipeline.url}/v1/events`, withData(nested(31)))).status).toBe(202)
})

const MALFORMED: [what: string, body: string | Uint8Array][] = [
  ['nothing', ''],
  ['no JSON', '{"type": "note.taken", "data": {'],
  ['JSON and more', '{} {}'],
  ['bytes that are no UTF-8', Buffer.from(withData('{"a":"\xff\xfe"}'), 'latin1')],
]

describe('a body of', () => {
  test.each(MALFORMED)('%s is malformed', async (_, body) => {
    const before = await stored()
    for (const path of ['/v1/events', '/v1/events/batch']) {
      await problemOf(await post(pipeline.url + path, body), 'malformed-body')
    }
    expect(await stored()).toBe(before)
  })

  test('bytes that are not UTF-8 is malformed as NDJSON too', async () => {
    const body = Buffer.concat([Buffer.from(`${withData('{}')}\n`), Buffer.from(withData('{"a":"\xff"}'), 'latin1')])
    const sent = await post(`${pipeline.url}/v1/events/batch`, body, { 'content-type': 'application/x-ndjson' })
    await problemOf(sent, 'malformed-body')
  })

  test.each(['null', '1', '"text"', 'true', '[]', '[[]]'])('%s is not an event', async (body) => {
    await problemOf(await post(`${pipeline.url}/v1/events`, body), 'invalid-event')
  })

  test.each(['null', '1', '"text"', '{}', withData('{}')])('%s is not a batch', async (body) => {
    await problemOf(await post(`${pipeline.url}/v1/events/batch`, body), 'malformed-body')
  })

  test('30,000 levels of lists is not even parsed', async () => {
    const lists = `${'['.repeat(30_000)}${']'.repeat(30_000)}`
    await problemOf(await post(`${pipeline.url}/v1/events`, lists), 'invalid-event')
    const { items } = (await (
      await post(`${pipeline.url}/v1/events/batch`, `[${lists},${withData('{}')}]`)
    ).json()) as BatchAnswer
    expect(items.map(({ status }) => status)).toEqual(['rejected', 'accepted'])
  })
})

describe('too large is', () => {
  test('a body', async () => {
    const body = `[${withData('{}')}${' '.repeat(200_000)}]`
    for (const path of ['/v1/events', '/v1/events/batch']) {
      await problemOf(await post(pipeline.url + path, body), 'body-too-large')
    }
  })

  test('a body of undeclared length', async () => {
    const chunk = new TextEncoder().encode(' '.repeat(50_000))
    let chunks = 0
    const body = new ReadableStream({
      pull: (stream) => (chunks++ < 20 ? stream.enqueue(chunk) : stream.close()),
    })
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body, duplex: 'half' as const }
    await problemOf(await fetch(`${pipeline.url}/v1/events`, init), 'body-too-large')
  })

  test('a batch', async () => {
    const batch = (length: number) => Array.from({ length }, () => ({ type: 'note.taken', data: {} }))
    expect(await pipeline.send(batch(10))).toMatchObject({ accepted: 10 })
    const before = await stored()
    await problemOf(await post(`${pipeline.url}/v1/events/batch`, batch(11)), 'body-too-large')
    expect(await stored()).toBe(before)
  })

  test('the data of an event, in bytes, in a batch only itself', async () => {
    const limit = withData(JSON.stringify({ text: '€'.repeat(329) }))
    const over = withData(JSON.stringify({ text: '€'.repeat(330) }))
    expect((await post(`${pipeline.url}/v1/events`, limit)).status).toBe(202)
    const problem = await problemOf(await post(`${pipeline.url}/v1/events`, over), 'body-too-large')
    expect(problem.errors).toMatchObject([{ pointer: '/data' }])
    const { items } = await pipeline.send([JSON.parse(over), JSON.parse(limit)])
    expect(items.map(({ status, error }) => error?.code ?? status)).toEqual(['body-too-large', 'accepted'])
  })
})

describe('a content type', () => {
  const event = withData('{}')
  test.each([
    ['text/plain', '/v1/events', event],
    ['text/plain', '/v1/events/batch', `[${event}]`],
    ['application/x-www-form-urlencoded', '/v1/events', event],
    ['application/octet-stream', '/v1/events', event],
    ['application/x-ndjson', '/v1/events', event],
    ['application/json; charset=utf-16', '/v1/events', event],
    ['application/json;charset="iso-8859-1"', '/v1/events/batch', `[${event}]`],
    ['application/json; charset=utf-8; charset=latin1', '/v1/events', event],
    ['application/json; charset="utf-8', '/v1/events', event],
    ['application/json-patch+json', '/v1/events', event],
    ['application/cloudevents+avro', '/v1/events', event],
    ['application/cloudevents+json', '/v1/dead-letters/discard', event],
    ['no type at all', '/v1/events', event],
  ])('%s at %s is not supported', async (type, path, body) => {
    const sent = await post(pipeline.url + path, body, { 'content-type': type })
    await problemOf(sent, 'unsupported-media-type')
  })

  test('of JSON may name its character set', async () => {
    const types = ['; charset=UTF-8', ' ;\tCharset="utf-8"', ';charset="\\utf-8"; x=y', '; x="a;charset=b";', ';']
    for (const type of types.map((parameters) => `Application/JSON${parameters}`)) {
      expect((await post(`${pipeline.url}/v1/events`, event, { 'content-type': type })).status).toBe(202)
      const named = JSON.stringify({ type: 'note.taken', datacontenttype: type, data: {} })
      expect((await post(`${pipeline.url}/v1/events`, named)).status).toBe(202)
      const binary = {
        'content-type': type,
        'ce-specversion': '1.0',
        'ce-type': 't',
        'ce-source': '/',
        'ce-id': `${type.length}`,
      }
      expect((await post(`${pipeline.url}/v1/events`, '{}', binary)).status).toBe(202)
    }
  })
})

describe('not found is', () => {
  test.each([
    ['GET', '/nowhere'],
    ['GET', '/v1/events/a/b'],
    ['GET', `/v1/events/${'x'.repeat(401)}`],
  ])('the route %s %s', async (method, path) => {
    await problemOf(await fetch(pipeline.url + path, { method }), 'route-not-found')
  })

  test.each([randomUUID(), 'no-uuid', 'x%00y', '%F0%9F%9B%AB', "'; DROP TABLE raw_events --"])(
    'the event %s',
    async (id) => {
      await problemOf(await fetch(`${pipeline.url}/v1/events/${id}`), 'event-not-found')
    },
  )
})

test.each([
  '?wait=soon',
  '?wait=-1s',
  '?wait=10',
  '?wait=1s&wait=2s',
  '?source=a&source=b',
  '?unknown=1',
  'x'.repeat(200),
  '/%ff',
])('a request for an event with %s is refused', async (rest) => {
  await problemOf(await fetch(`${pipeline.url}/v1/events/${randomUUID()}${rest}`), 'invalid-query')
})
