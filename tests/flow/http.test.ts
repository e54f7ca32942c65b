/** HTTP itself: methods, preflights, handshakes, expectations, and the security headers of every answer. */
import { connect } from 'node:net'
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Contract, readContract } from '../contract.js'

const SHOP = 'https://shop.example'

let pipeline: TestPipeline
let shared: TestPipeline
let contract: Contract

beforeAll(async () => {
  pipeline = await startPipeline([])
  shared = await startPipeline([], {
    EVENTFLOW_CORS_ORIGINS: `${SHOP},http://localhost:3000`,
    EVENTFLOW_AUTH: 'required',
  })
  contract = await readContract(pipeline.url)
})

afterAll(() => Promise.all([pipeline.stop(), shared.stop()]))

const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
  fetch(pipeline.url + path, { method, headers })

/** Everything received over a new connection until it is closed; by us once it is `enough`. */
function talk(text: string, enough: (received: string) => boolean = () => false): Promise<string> {
  const socket = connect(Number(new URL(pipeline.url).port), '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
    if (enough(received)) socket.destroy()
  })
  socket.on('error', () => {})
  socket.write(text, 'latin1')
  return new Promise((resolve) => {
    socket.on('close', () => resolve(received))
  })
}

const HOST = 'Host: localhost\r\n'
const JSON_TYPE = 'Content-Type: application/json\r\n'

/** The only answer, with its body; nothing after it. */
function read(text: string) {
  const [, status, fields, body] = /^HTTP\/1\.1 (\d{3}) [^\r\n]+\r\n(.*?)\r\n\r\n(.*)$/s.exec(text) ?? []
  expect([text, body === undefined]).toEqual([text, false])
  const headers = new Headers(fields!.split('\r\n').map((field) => field.split(/: ?(.*)/s, 2) as [string, string]))
  expect(headers.get('content-length')).toBe(`${Buffer.byteLength(body!)}`)
  return { status: Number(status), headers, body: body! }
}

function expectRaw(text: string, code: ProblemCode) {
  const { status, headers, body } = read(text)
  expect([status, headers.get('content-type')]).toEqual([PROBLEMS[code].status, 'application/problem+json'])
  expect(JSON.parse(body)).toMatchObject({ type: `urn:eventflow:problem:${code}`, code, status })
  expectGuarded(headers)
  return { headers, body }
}

/** Checks the headers that every answer must have. */
function expectGuarded(headers: Headers) {
  const expected = {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  }
  expect(Object.fromEntries(Object.keys(expected).map((name) => [name, headers.get(name)]))).toEqual(expected)
  expect(headers.get('content-security-policy')).toMatch(/^default-src '(none|self)';.*frame-ancestors 'none'$/)
  expect(headers.has('date')).toBe(true)
}

describe('a method that a path does not support', () => {
  test.each([
    ['DELETE', '/v1/events', 'GET, HEAD, POST, OPTIONS'],
    ['PUT', '/v1/events', 'GET, HEAD, POST, OPTIONS'],
    ['PROPFIND', '/v1/events?limit=1', 'GET, HEAD, POST, OPTIONS'],
    ['POST', '/v1/events/some-id', 'GET, HEAD, OPTIONS'],
    // An event may be called "batch".
    ['DELETE', '/v1/events/batch', 'GET, HEAD, POST, OPTIONS'],
    ['GET', '/v1/dead-letters/replay/none', undefined],
    ['POST', '/livez', 'GET, HEAD, OPTIONS'],
    ['POST', '/', 'GET, HEAD, OPTIONS'],
    ['PATCH', '/v1/keys/1', 'DELETE, OPTIONS'],
    ['DELETE', '/v1/nothing', undefined],
  ])('%s %s', async (method, path, allow) => {
    const answer = await ask(method, path)
    const code = allow ? 'method-not-allowed' : 'route-not-found'
    expect([answer.status, await answer.json()]).toEqual([PROBLEMS[code].status, expect.objectContaining({ code })])
    expect(answer.headers.get('allow')).toBe(allow ?? null)
    const options = await ask('OPTIONS', path)
    expect([options.status, options.headers.get('allow')]).toEqual(allow ? [204, allow] : [404, null])
  })

  test('is answered as documented, at every path', async () => {
    for (const [path, operations] of Object.entries(contract.document.paths)) {
      const url = path.replaceAll(/\{\w+\}/g, '1')
      const allowed = (await ask('OPTIONS', url)).headers.get('allow')!.split(', ')
      const documented = Object.keys(operations).map((name) => name.toUpperCase())
      expect([path, allowed]).toEqual([path, expect.arrayContaining(documented)])
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((name) => !allowed.includes(name))) {
        await contract.ask(url, { method })
      }
    }
  })

  test('is TRACE, with nothing of the request in the answer', async () => {
    const answer = await talk(`TRACE /v1/events HTTP/1.1\r\n${HOST}Cookie: secret\r\nConnection: close\r\n\r\n`)
    expectRaw(answer, 'method-not-allowed')
    expect(answer).not.toContain('secret')
  })

  test('is CONNECT, which names no path', async () => {
    expectRaw(await talk(`CONNECT a.example:443 HTTP/1.1\r\n${HOST}\r\n`), 'invalid-query')
  })

  test('is none for the server as a whole, which supports OPTIONS', async () => {
    expect(await talk(`OPTIONS * HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 204 /)
  })
})

describe('a sender of web hooks that asks for permission to deliver', () => {
  const origin = { 'webhook-request-origin': 'eventgrid.example', 'webhook-request-rate': '120' }

  test.each(['/v1/events', '/v1/events/batch'])('gets it, at %s, without an API key', async (path) => {
    const callback = { 'webhook-request-callback': 'https://eventgrid.example/confirm?key=1' }
    for (const { url } of [pipeline, shared]) {
      const answer = await fetch(url + path, { method: 'OPTIONS', headers: { ...origin, ...callback } })
      expect(answer.status).toBe(204)
      expect(answer.headers.get('webhook-allowed-origin')).toBe('*')
      expect(answer.headers.get('webhook-allowed-rate')).toBe('*')
      expect(answer.headers.get('allow')).toContain('POST')
    }
  })

  test('is refused where no events are accepted, and is granted only what it asked for', async () => {
    const elsewhere = await ask('OPTIONS', '/v1/keys', origin)
    const unasked = await ask('OPTIONS', '/v1/events')
    for (const { headers } of [elsewhere, unasked]) expect(headers.has('webhook-allowed-origin')).toBe(false)
  })
})

describe('a page from elsewhere', () => {
  const preflight = (url: string, origin: string, path = '/v1/events') =>
    fetch(url + path, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,idempotency-key',
        'access-control-request-private-network': 'true',
      },
    })
  const corsOf = ({ headers }: Response) => [...headers.keys()].filter((name) => name.startsWith('access-control'))

  test('may read nothing by default', async () => {
    expect(corsOf(await preflight(pipeline.url, SHOP))).toEqual([])
    expect(corsOf(await ask('GET', '/livez', { origin: SHOP }))).toEqual([])
  })

  test('that is allowed may send requests with its own API key, and read every answer', async () => {
    const allowed = await preflight(shared.url, SHOP)
    expect(allowed.status).toBe(204)
    expect(Object.fromEntries(allowed.headers)).toMatchObject({
      'access-control-allow-origin': SHOP,
      'access-control-allow-methods': 'GET, HEAD, POST, OPTIONS',
      'access-control-allow-headers': 'authorization,content-type,idempotency-key',
      'access-control-max-age': '600',
      vary: 'Origin',
    })
    expect(corsOf(allowed)).not.toContain('access-control-allow-credentials')
    expect(corsOf(allowed)).not.toContain('access-control-allow-private-network')
    const refused = await fetch(`${shared.url}/v1/events`, { headers: { origin: SHOP } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, SHOP])
    expect(refused.headers.get('access-control-expose-headers')).toContain('Retry-After')
  })

  test.each(['https://evil.example', 'http://shop.example', `${SHOP}.evil.example`, 'null', '*'])(
    'that is not allowed may read nothing, also from a cache: %s',
    async (origin) => {
      const answer = await preflight(shared.url, origin)
      expect([corsOf(answer), answer.headers.get('vary')]).toEqual([[], 'Origin'])
    },
  )

  test('needs an API key, also where programs on this machine do not, and all origins are allowed', async () => {
    const open = await startPipeline([], { EVENTFLOW_CORS_ORIGINS: '*' })
    const answer = await fetch(`${open.url}/v1/events`, { headers: { origin: 'https://any.example' } })
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([401, '*'])
    expect(answer.headers.has('access-control-allow-credentials')).toBe(false)
    await open.stop()
  })
})

describe('a client that sends Expect: 100-continue', () => {
  const post = (length: number, more = '') =>
    `POST /v1/events HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\nExpect: 100-continue\r\n${more || JSON_TYPE}\r\n`
  const EVENT = '{"type":"note.taken","data":{}}'

  test('gets 100 once, and an answer', async () => {
    const socket = connect(Number(new URL(pipeline.url).port), '127.0.0.1')
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
    })
    for (let i = 1; i <= 2; i++) {
      received = ''
      socket.write(post(EVENT.length))
      await until('it is asked for the body', async () => received.includes('\r\n\r\n'))
      expect(received).toBe('HTTP/1.1 100 Continue\r\n\r\n')
      socket.write(EVENT)
      await until('it is answered', async () => received.includes('accepted'))
      expect(received).toMatch(/Continue\r\n\r\nHTTP\/1\.1 202 /)
    }
    socket.destroy()
  })

  test.each<[string, string, ProblemCode]>([
    ['too large', post(99_999_999), 'body-too-large'],
    ['of an unsupported media type', post(2, 'Content-Type: text/plain\r\n'), 'unsupported-media-type'],
    ['compressed with an unknown coding', post(2, `${JSON_TYPE}Content-Encoding: zstd\r\n`), 'unsupported-media-type'],
    ['without the right to send it', post(2, `${JSON_TYPE}Authorization: Bearer none\r\n`), 'unauthorized'],
    ['to an unknown route', post(2).replace('/v1/events', '/v1/nothing'), 'route-not-found'],
    ['by an unsupported method', post(2).replace('POST', 'DELETE'), 'method-not-allowed'],
  ])('that is %s is refused without its body, and closed', async (_, text, code) => {
    expect(expectRaw(await talk(text), code).headers.get('connection')).toBe('close')
  })

  test('with another expectation is refused', async () => {
    expectRaw(await talk(post(2).replace('100-continue', 'tea')), 'expectation-failed')
  })
})

test.each([
  ['no host', 'GET /livez HTTP/1.1\r\n\r\n', /Host is missing/],
  ['two hosts', 'GET /livez HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n', /must occur once/],
  ['the same host twice', 'GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', /must occur once/],
  [
    'a second host behind many headers',
    `GET /livez HTTP/1.1\r\nHost: a\r\n${'a:\r\n'.repeat(2_500)}Host: b\r\n\r\n`,
    /once/,
  ],
  ['an invalid host', 'GET /livez HTTP/1.1\r\nHost: a/b@c\r\n\r\n', /must be a name/],
  ['HTTP/0.9', 'GET /livez\r\n\r\n', /not HTTP\/0\.9/],
  ['HTTP/0.9 by name', `GET /livez HTTP/0.9\r\n${HOST}\r\n`, /not HTTP\/0\.9/],
  ['HTTP/2.0 by name', `GET /livez HTTP/2.0\r\n${HOST}\r\n`, /not HTTP\/2\.0/],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /not HTTP\/2/],
])('%s is answered 400, and closed', async (_, text, detail) => {
  const { headers, body } = expectRaw(await talk(text), 'invalid-query')
  expect(headers.get('connection')).toBe('close')
  expect(JSON.parse(body).detail).toMatch(detail)
})

test('HTTP/1.0 is supported, and needs no Host header where none is needed', async () => {
  expect(await talk('GET /livez HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
})

test('415 lists the accepted media types', async () => {
  const send = (path: string, headers: Record<string, string>, method = 'POST') =>
    fetch(pipeline.url + path, { method, body: '{}', headers })
  const batch = 'application/json, application/x-ndjson, application/cloudevents-batch+json'
  for (const type of ['text/plain', 'nonsense']) {
    const { status, headers } = await send('/v1/events/batch', { 'content-type': type })
    expect([status, headers.get('accept-post'), headers.get('accept')]).toEqual([415, batch, batch])
  }
  const put = await send('/v1/schemas/a', { 'content-type': 'text/plain' }, 'PUT')
  expect([put.headers.get('accept-post'), put.headers.get('accept')]).toEqual([null, 'application/json'])
  const coded = await send('/v1/events', { 'content-type': 'application/json', 'content-encoding': 'zstd' })
  expect([coded.status, coded.headers.get('accept-encoding')]).toEqual([415, 'gzip, deflate, br'])
  expect(coded.headers.has('accept-post')).toBe(false)
})

describe('every answer has security headers:', () => {
  test('of every route, success or error, and none of it may be cached', async () => {
    for (const [path, operations] of Object.entries(contract.document.paths)) {
      for (const method of Object.keys(operations)) {
        const url = path.replaceAll(/\{\w+\}/g, '1')
        const { headers } = await ask(method.toUpperCase(), url)
        expectGuarded(headers)
        expect([method, path, headers.get('cache-control')]).toEqual([method, path, 'no-store'])
      }
    }
  })

  test.each([
    '/',
    '/docs',
    '/docs/static/index.css',
    '/openapi.json',
    '/%zz',
    '/none',
    `/v1/events/${'x'.repeat(500)}`,
  ])('of %s', async (path) => {
    expectGuarded((await ask('GET', path)).headers)
    expectGuarded((await ask('OPTIONS', path)).headers)
  })

  test('to a request that is too long, or invalid', async () => {
    expectRaw(await talk(`GET /livez HTTP/1.1\r\n${HOST}X-A: ${'x'.repeat(17_000)}\r\n\r\n`), 'headers-too-large')
    expectRaw(await talk('EHLO mail.example.org\r\n\r\n'), 'invalid-query')
  })

  test('pages load their own files and no others', async () => {
    const page = await ask('GET', '/docs')
    const policy = page.headers.get('content-security-policy')
    expect(policy).toMatch(/^default-src 'self'/)
    expect(policy).not.toMatch(/script-src|unsafe-eval|\*/)
    // A policy that forbade the page's own scripts would leave it empty: it has no inline scripts.
    expect(await page.text()).not.toMatch(/<script(?![^>]*\bsrc=)|\son\w+=/)
  })
})
