/**
 * Ingest against requests that no browser and no library would make: methods, hosts, origins, media types, queries,
 * lists with one bad item, texts that make patterns slow. As in `hostile.test.ts`: a problem that says what is wrong,
 * and no 5xx.
 */
import { randomUUID } from 'node:crypto'
import { request } from 'node:http'
import { connect } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { event, holds, startHostile, text } from '../hostile.js'
import { unstalled } from '../unstalled.js'

const tested = startHostile()

const rows = async () =>
  (await tested.pipeline.db.query('SELECT count(*)::integer AS count FROM raw_events')).rows[0].count

interface Raw {
  method: string
  path: string
  headers: Record<string, string | string[]>
  body?: string
}

/** Sends a request exactly as given, including `Host`; returns status, headers and text. */
function sendRaw({ method, path, headers, body }: Raw): Promise<{ status: number; text: string; allow: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(tested.pipeline.url)
    const sent = request({ hostname, port, method, path, headers, setHost: false, agent: false }, async (answer) => {
      resolve({ status: answer.statusCode!, text: await textOf(answer), allow: `${answer.headers.allow ?? ''}` })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const NOTE = '{"type":"note.taken","data":{}}'
const json = { 'content-type': 'application/json' }

/** Checks that a refusal is a useful problem. */
function expectProblem({ status, text }: { status: number; text: string }) {
  expect({ status, text }).toEqual({ status, text: expect.stringContaining('urn:eventflow:problem:') })
  tested.door.expectRefusal(status, JSON.parse(text))
}

test('without an API key nothing is done for another host, a page or a proxy', async () => {
  const names = [
    'localhost',
    '127.0.0.1',
    '[::1]',
    '127.1.2.3',
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '0.0.0.0',
    '10.0.0.1',
    '[::]',
    'LOCALHOST',
    '',
  ]
  const host = fc
    .tuple(fc.constantFrom(...names), fc.constantFrom('', ':80', ':8000', ':99999', ':x'))
    .map((parts) => parts.join(''))
  const signs = fc.record(
    {
      origin: fc.oneof(
        fc.constantFrom('null', 'http://evil.example', 'https://localhost'),
        host.map((name) => `http://${name}`),
      ),
      'sec-fetch-site': fc.constantFrom('cross-site', 'same-site', 'same-origin', 'none'),
      'x-forwarded-for': fc.constantFrom('127.0.0.1', '10.0.0.1'),
      forwarded: fc.constant('for=127.0.0.1'),
    },
    { requiredKeys: [] },
  )
  const isLoopback = (name: string) => /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(name)
  await holds(fc.tuple(host, signs), async ([to, given]) => {
    const before = await rows()
    const answer = await sendRaw({
      method: 'POST',
      path: '/v1/events',
      headers: { ...json, host: to, ...given },
      body: NOTE,
    })
    const isOwn =
      isLoopback(to) &&
      (given.origin === undefined || given.origin.toLowerCase() === `http://${to.toLowerCase()}`) &&
      (given['sec-fetch-site'] === undefined || ['same-origin', 'none'].includes(given['sec-fetch-site'])) &&
      given['x-forwarded-for'] === undefined &&
      given.forwarded === undefined
    if (answer.status >= 400) expectProblem(answer)
    if (!isOwn) expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(await rows()).toBe(before + (answer.status === 202 ? 1 : 0))
  })
})

test('any method on any path', () => {
  const known = [
    '/v1/events',
    '/v1/events/batch',
    `/v1/events/${randomUUID()}`,
    '/v1/keys',
    '/v1/live',
    '/v1/schemas/a/check',
    '/livez',
    '/metrics',
    '/',
    '/docs',
  ]
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY', 'SEARCH']
  const path = fc.oneof(
    fc.constantFrom(...known),
    fc.webPath(),
    fc.constantFrom('/v1/events/', '//', '/%2e%2e/', '/v1/%65vents', '/%zz', '/v1/events/%00'),
  )
  return holds(fc.tuple(fc.constantFrom(...methods), path), async ([method, path]) => {
    // A stream does not end; `live` has its own tests.
    if (method === 'GET' && path === '/v1/live') return
    const { host } = new URL(tested.pipeline.url)
    const answer = await sendRaw({ method, path: path || '/', headers: { host } })
    expect(answer.status).toBeLessThan(500)
    if (answer.status === 405) expect(answer.allow).not.toBe('')
    if (answer.status >= 400 && method !== 'HEAD') expectProblem(answer)
  })
})

test('any form of the media type', () => {
  const type = fc.constantFrom(
    'application/json',
    'Application/JSON',
    'application/cloudevents+json',
    'text/plain',
    'application/json-seq',
    'application/ json',
    '*/*',
    '',
  )
  const parameter = fc.constantFrom(
    '',
    ';charset=utf-8',
    '; charset=UTF-8',
    ';charset="utf-8"',
    ' ; charset=utf-8 ',
    ';charset=latin1',
    ';charset=',
    ';charset="utf-8',
    ';x=y',
    ';;',
    `;${'x'.repeat(2_000)}`,
  )
  return holds(fc.tuple(type, parameter, fc.nat()), async ([name, parameters, n]) => {
    const body = JSON.stringify({
      specversion: '1.0',
      type: 'note.taken',
      source: '/',
      id: `media ${n} ${randomUUID()}`,
      data: {},
    })
    const taken = await tested.door.send('/v1/events', body, { 'content-type': `${name}${parameters}` })
    const isJson = /^application\/(cloudevents\+)?json$/i.test(name)
    const isUtf8 = /^( ?; ?charset=("utf-8"|utf-8) ?)?$/i.test(parameters)
    if (isJson && isUtf8) expect(taken.size).toBe(1)
    if (!isJson || /latin1/.test(parameters)) expect(taken.size).toBe(0)
  })
})

test('anything in a query', () => {
  const paths = [
    '/v1/events',
    '/v1/dead-letters',
    '/v1/audit-log',
    '/v1/operations',
    '/v1/keys',
    '/v1/schemas',
    '/v1/waiting',
    `/v1/events/${randomUUID()}`,
  ]
  const name = fc.oneof(
    fc.constantFrom(
      'type',
      'key',
      'from',
      'to',
      'id',
      'source',
      'status',
      'limit',
      'cursor',
      'group',
      'wait',
      'correlation_id',
      'error_class',
    ),
    text,
  )
  const given = fc.oneof(
    text,
    fc.constantFrom(
      '1',
      '0',
      '-1',
      '1e9',
      '999999999999',
      'true',
      'all',
      '2026-01-01T00:00:00Z',
      '2026-01-01T00:00:00+01:00',
      '10s',
    ),
  )
  const query = fc.array(fc.tuple(name, given), { maxLength: 5 })
  return holds(fc.tuple(fc.constantFrom(...paths), query), async ([path, parts]) => {
    const search = parts.map((pair) => pair.map((part) => encodeURIComponent(part.toWellFormed())).join('=')).join('&')
    tested.door.expectAnswer(await unstalled(() => tested.door.contract.ask(`${path}?${search}`)))
  })
})

/** Items that are not events: each fails alone. */
const BAD = [
  '{"type":"note.taken","data":{"__proto__":{"a":1}}}',
  '{"type":"note.taken","data":{"constructor":{"prototype":{"a":1}}}}',
  `{"type":"note.taken","data":{"a":${'['.repeat(80)}${']'.repeat(80)}}}`,
  '{"type":"note.taken","data":{"a":1,"a":2}}',
  '{"type":"note.taken","data":{"a":1e400}}',
  '{"type":"note.taken","data":{"a":"\\u0000"}}',
  '{"type":"note.taken","data":[]}',
  '{"type":7,"data":{}}',
  'null',
  '7',
  '"text"',
  '[[]]',
  '{}',
]

test('a list in which some items are bad: the others are accepted', () =>
  holds(
    fc.array(
      fc.oneof(
        fc.constantFrom(...BAD),
        event.map((one) => JSON.stringify(one)),
      ),
      { minLength: 1, maxLength: 12 },
    ),
    async (items) => {
      const { body } = await tested.door.contract.ask('/v1/events/batch', {
        method: 'POST',
        headers: json,
        body: `[${items}]`,
      })
      const bad = items.flatMap((item, index) => (BAD.includes(item) ? [index] : []))
      expect(body.items.length).toBe(items.length)
      const rejected = body.items.filter(({ status }: { status: string }) => status === 'rejected')
      expect(rejected.map(({ index }: { index: number }) => index)).toEqual(expect.arrayContaining(bad))
      for (const { index, error } of rejected) {
        if (bad.includes(index))
          expect(error.errors?.[0]).toEqual(expect.objectContaining({ pointer: expect.any(String) }))
      }
    },
  ))

describe('texts that could make a pattern slow', () => {
  const piece = fc.constantFrom(
    '0',
    '1',
    ' ',
    '\t',
    'a',
    '.',
    '-',
    ':',
    '/',
    '%41',
    '"',
    '\\',
    ';',
    ',',
    '=',
    '+',
    '@',
    'é',
    '~',
    '{',
    '[',
  )
  const slow = fc
    .tuple(piece, fc.integer({ min: 1, max: 60_000 }), piece)
    .map(([one, count, end]) => `${one.repeat(count / one.length)}${end}`)

  test('in an event', () => {
    const place = fc.constantFrom(
      'type',
      'id',
      'source',
      'time',
      'partitionkey',
      'correlationid',
      'traceparent',
      'subject',
      'datacontenttype',
      'data',
      'number',
    )
    return holds(fc.tuple(place, slow), async ([name, value]) => {
      const data = name === 'data' ? { [value]: value } : {}
      const sent = JSON.stringify({
        specversion: '1.0',
        id: randomUUID(),
        source: '/',
        type: 'note.taken',
        data,
        ...(name !== 'data' && { [name]: value }),
      })
      const body = name === 'number' ? `{"type":"note.taken","data":{"n":1.${value.replace(/\D/g, '0')}1}}` : sent
      await tested.door.send('/v1/events', body, { 'content-type': 'application/cloudevents+json' })
    })
  })

  test('in a header or a query', () => {
    const header = fc.constantFrom(
      'authorization',
      'content-type',
      'content-encoding',
      'idempotency-key',
      'x-correlation-id',
      'x-operator',
      'traceparent',
      'accept',
      'origin',
      'ce-id',
      'ce-time',
      'if-none-match',
      'expect',
    )
    return holds(
      fc.tuple(
        header,
        slow.map((value) => value.slice(0, 8_000)),
      ),
      async ([name, value]) => {
        const header = Buffer.from(value)
          .toString('latin1')
          .replace(/[^\x20-\x7e\x80-\xff]/g, ' ')
        const { host } = new URL(tested.pipeline.url)
        const asked = () =>
          sendRaw({ method: 'POST', path: '/v1/events', headers: { ...json, host, [name]: header }, body: NOTE })
        const answer = await unstalled(asked)
        expect(answer.status).toBeLessThan(500)
        if (answer.status >= 400) expectProblem(answer)
        const query = encodeURIComponent(value.slice(0, 2_000))
        tested.door.expectAnswer(
          await unstalled(() => tested.door.contract.ask(`/v1/events?from=${query}&cursor=${query}`)),
        )
      },
    )
  })
})

/** Sends bytes over a new connection, and returns everything received until it is closed. */
function say(bytes: Uint8Array): Promise<string> {
  const { hostname, port } = new URL(tested.pipeline.url)
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) })
    const read: Buffer[] = []
    socket.on('data', (piece) => read.push(piece))
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(read).toString()))
    socket.end(bytes)
  })
}

test('bytes that are no HTTP, or nearly', () => {
  const line = fc.constantFrom(
    'GET / HTTP/1.1',
    'GET / HTTP/0.9',
    'GET /',
    'POST /v1/events HTTP/1.1',
    'PRI * HTTP/2.0',
    'get / http/1.1',
    'GET  / HTTP/1.1',
    'GET / HTTP/1.1 ',
    'GET http://evil.example/ HTTP/1.1',
    'CONNECT a:1 HTTP/1.1',
    '\x16\x03\x01\x02',
  )
  const header = fc.constantFrom(
    'host: localhost',
    'host: localhost\r\nhost: b',
    'content-length: 5',
    'content-length: -1',
    'content-length: 5\r\ncontent-length: 6',
    'transfer-encoding: chunked',
    'transfer-encoding: x',
    ' folded: x',
    'a',
    ': b',
    'a\0: b',
    'expect: 100-continue',
    'expect: more',
    'connection: upgrade\r\nupgrade: websocket',
    'range: bytes=0-',
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(line, fc.array(header, { maxLength: 4 }), fc.constantFrom('', 'hello', '5\r\nhello\r\n0\r\n\r\n'))
      .map(
        ([first, headers, body]) =>
          new Uint8Array(
            Buffer.from(`${[first, ...headers, 'connection: close'].join('\r\n')}\r\n\r\n${body}`, 'latin1'),
          ),
      ),
  )
  return holds(bytes, async (sent) => {
    const answer = await unstalled(() => say(sent))
    if (answer === '') return
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])
    expect({ status, answer }).toEqual({
      status: expect.any(Number),
      answer: expect.stringMatching(/^HTTP\/1\.1 [1-4]\d\d /),
    })
    if (status >= 400) expect(answer).toContain('urn:eventflow:problem:')
  })
})

test('none of it was logged as our own error', () => {
  expect(tested.pipeline.logged.filter(({ level }) => level === 'error')).toEqual([])
})
