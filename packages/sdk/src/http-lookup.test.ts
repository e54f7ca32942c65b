/** HTTP look-ups against a real server: the meaning of each answer, the number of requests, and the circuit. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import {
  type AcceptedEvent,
  type Circuit,
  circuitChanges,
  circuits,
  type EnrichContext,
  type HttpLookupOptions,
  httpLookup,
  PermanentError,
  TransientError,
  UnavailableError,
} from './index.js'

type Sale = AcceptedEvent<{ sku?: string }>

let server: Server
let origin: string
let answer: RequestListener
let requests: string[]

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url!)
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

beforeEach(() => {
  requests = []
  answer = (request, response) => response.end(JSON.stringify({ amount: request.url!.length }))
})

type Options = Partial<HttpLookupOptions<{ sku?: string }, 'price', NonNullable<unknown>, 'fail' | 'skip'>>
let names = 0

function prices(options: Options = {}) {
  return httpLookup({
    name: `prices-${++names}`,
    url: (sku) => `${origin}/${encodeURIComponent(sku)}`,
    allowOrigins: [origin],
    fields: { price: ({ data }: Sale) => data.sku },
    retries: 0,
    ...options,
  })
}

function sales(...skus: (string | undefined)[]): Sale[] {
  return skus.map((sku) => ({ data: { sku } }) as Sale)
}

async function enrichOne(enricher: ReturnType<typeof prices>, sku: string | undefined): Promise<unknown> {
  const [addition] = await enricher.enrich(sales(sku), {} as EnrichContext)
  return addition
}

function status(...statuses: number[]): RequestListener {
  return (_, response) => {
    response.statusCode = statuses.length > 1 ? statuses.shift()! : statuses[0]!
    response.end('{}')
  }
}

test('asks once for each distinct key, and adds the answers', async () => {
  const enricher = prices()
  const additions = await enricher.enrich(sales('a', 'bb', 'a', 'bb', 'a'), {} as EnrichContext)
  expect(additions).toEqual([2, 3, 2, 3, 2].map((amount) => ({ price: { amount } })))
  expect(requests.sort()).toEqual(['/a', '/bb'])
  await enrichOne(enricher, 'a')
  expect(requests).toHaveLength(2)
})

test('limits concurrent requests', async () => {
  let underWay = 0
  let most = 0
  answer = (_, response) => {
    most = Math.max(most, ++underWay)
    setImmediate(() => {
      underWay--
      response.end('{}')
    })
  }
  const skus = Array.from({ length: 20 }, (_, index) => `sku-${index}`)
  const additions = await prices({ concurrency: 3 }).enrich(sales(...skus), {} as EnrichContext)
  expect(additions).toEqual(skus.map(() => ({ price: {} })))
  expect(requests).toHaveLength(20)
  expect(most).toBeLessThanOrEqual(3)
})

test('sends the headers, and keeps the picked value', async () => {
  answer = (request, response) => response.end(JSON.stringify({ amount: request.headers.authorization }))
  const pick = (body: unknown) => (body as { amount: string }).amount
  expect(await enrichOne(prices({ headers: { authorization: 'Bearer x' }, pick }), 'a')).toEqual({ price: 'Bearer x' })
})

test('keeps every digit of numbers that JavaScript would round', async () => {
  answer = (_, response) => response.end('{"id":9007199254740993,"limit":1e400,"amount":1.50}')
  expect(await enrichOne(prices(), 'a')).toEqual({ price: { id: '9007199254740993', limit: '1e400', amount: 1.5 } })
})

test.each<[string, object, string]>([
  ['url', { url: () => Promise.reject(new Error('later')) }, 'answered a promise; expected an address as a string'],
  ['url', { url: () => undefined }, 'answered undefined; expected an address as a string'],
  ['url', { url: () => new URL(origin) }, 'answered an URL; expected an address as a string'],
  ['pick', { pick: async () => 5 }, 'answered a promise; it must return a value synchronously'],
])('%s that returns an invalid value fails the event permanently', async (name, options, message) => {
  answer = status(200)
  const enricher = prices(options)
  const error = await enrichOne(enricher, 'a')
  expect(error).toBeInstanceOf(PermanentError)
  expect((error as Error).message).toBe(`${name} of '${enricher.name}' ${message}`)
})

test('retries after a 500', async () => {
  answer = status(500, 200)
  expect(await enrichOne(prices({ retries: 1 }), 'a')).toEqual({ price: {} })
  expect(requests).toEqual(['/a', '/a'])
})

test.each([
  ['404', status(404)],
  ['410', status(410)],
  ['null', (_, response) => response.end('null')],
] satisfies [string, RequestListener][])(
  '%s means that the key does not exist, and is not cached',
  async (_, listener) => {
    answer = listener
    const failing = prices()
    const error = await enrichOne(failing, 'a')
    expect(error).toBeInstanceOf(PermanentError)
    expect(error).toHaveProperty('message', `there is no 'a' at ${failing.name}`)
    const skipping = prices({ missing: 'skip' })
    expect(await enrichOne(skipping, 'a')).toEqual({})
    answer = status(200)
    expect(await enrichOne(skipping, 'a')).toEqual({ price: {} })
  },
)

test('without a key no request is sent', async () => {
  expect(await enrichOne(prices({ missing: 'skip' }), undefined)).toEqual({})
  expect(await enrichOne(prices(), undefined)).toBeInstanceOf(PermanentError)
  expect(requests).toEqual([])
})

test.each([
  ['400', status(400), PermanentError, 'status 400', 1],
  ['422', status(422), PermanentError, 'status 422', 1],
  ['401', status(401), TransientError, 'status 401', 1],
  ['403', status(403), TransientError, 'status 403', 1],
  ['429', status(429), TransientError, 'status 429', 2],
  ['503', status(503), TransientError, 'status 503', 2],
  ['a redirect', (_, r) => r.writeHead(302, { location: '/b' }).end(), TransientError, 'status 302', 1],
  ['no JSON', (_, r) => r.end('<html>'), TransientError, 'did not answer with JSON', 1],
  ['no UTF-8', (_, r) => r.end(Buffer.from('"Zürich"', 'latin1')), TransientError, 'in UTF-8', 1],
  ['too much', (_, r) => r.end(`"${'x'.repeat(2 ** 20)}"`), TransientError, 'more than 1048576 bytes', 1],
  ['a closed connection', (_, r) => r.destroy(), TransientError, 'could not be reached: UND_ERR_SOCKET', 2],
] satisfies [string, RequestListener, typeof PermanentError | typeof TransientError, string, number][])(
  '%s',
  async (_, listener, errorClass, message, asked) => {
    answer = listener
    const error = await enrichOne(prices({ retries: 1 }), 'a')
    expect(error).toBeInstanceOf(errorClass)
    expect((error as Error).message).toContain(message)
    expect(requests).toHaveLength(asked)
  },
)

test.each([
  ['headers', () => {}],
  ['body', (_, response) => response.write('{')],
] satisfies [string, RequestListener][])('no %s in time', async (_, listener) => {
  answer = listener
  const enricher = prices({ timeoutMs: 50 })
  const error = await enrichOne(enricher, 'a')
  expect(error).toEqual(new TransientError(`${enricher.name} did not answer within 50 ms`))
})

test('no server listens', async () => {
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const absent = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`
  closed.close()
  await once(closed, 'close')
  const enricher = prices({ url: () => `${absent}/a`, allowOrigins: [absent] })
  expect(await enrichOne(enricher, 'a')).toEqual(
    new TransientError(`${enricher.name} could not be reached: ECONNREFUSED`),
  )
})

test('one key that fails does not affect the others', async () => {
  answer = (request, response) => {
    response.statusCode = request.url === '/bad' ? 400 : 200
    response.end('{}')
  }
  const additions = await prices().enrich(sales('good', 'bad', 'fine'), {} as EnrichContext)
  expect(additions).toEqual([{ price: {} }, expect.any(PermanentError), { price: {} }])
})

test.each([
  ['another host', (key: string) => `http://${key}.example.com/`],
  ['another port', () => origin.replace(/\d+$/, '1')],
  ['https instead of http', () => origin.replace('http', 'https')],
  ['a file', () => 'file:///etc/passwd'],
  ['credentials', () => origin.replace('//', '//user:password@')],
  ['no address', (key: string) => key],
])('never requests %s', async (_, url) => {
  const error = await enrichOne(prices({ url }), 'a')
  expect(error).toBeInstanceOf(PermanentError)
  expect((error as Error).message).toMatch(/may not request .*: see allowOrigins$/)
  expect(requests).toEqual([])
})

test('a key never leads to another path, encoded by the definition or not', async () => {
  const keys = [
    '..',
    '.',
    '../admin',
    'a/../../admin',
    '..\\admin',
    '..;x',
    '%2e%2e',
    '.%2E/admin',
    '.\t./admin',
    'a#b',
  ]
  const written = (key: string) => `${origin}/v1/skus/${key}`
  const encoded = (key: string) => written(encodeURIComponent(key))
  const encodedDots = (key: string) => encoded(key).replaceAll(/\.(?=[./%]|$)/g, '%2e')
  const resolved = (key: string) => new URL(key, `${origin}/v1/skus/`).href
  const below = { allowOrigins: [`${origin}/v1/skus/`] }
  for (const options of [{ url: written }, { url: encoded }, { url: encodedDots }, { url: resolved, ...below }]) {
    await prices(options).enrich(sales('', ...keys), {} as EnrichContext)
  }
  // The path as seen by a server that decodes before it resolves.
  const seen = requests.map((path) => decodeURIComponent(path).replaceAll('\\', '/'))
  expect(seen.filter((path) => !path.startsWith('/v1/skus/') || /\/\.\.?(\/|;|$)/.test(path))).toEqual([])
})

test('a key that only resembles a path is requested', async () => {
  for (const key of ['...', '..a', 'a..', 'a/b', 'é', '100%', 'a b', '%2e%2e']) {
    const url = (sku: string) => `${origin}/v1/skus/${encodeURIComponent(sku)}?sku=${encodeURIComponent(`../${sku}`)}`
    expect(await enrichOne(prices({ url }), key)).toEqual({ price: { amount: expect.any(Number) } })
  }
})

test('an empty key counts as no key', async () => {
  expect(await enrichOne(prices({ missing: 'skip' }), '')).toEqual({})
  expect(await enrichOne(prices(), '')).toBeInstanceOf(PermanentError)
  expect(requests).toEqual([])
})

test.each([
  ['no origin', { allowOrigins: [] }],
  ['a host', { allowOrigins: ['example.com'] }],
  ['an address', { allowOrigins: ['https://example.com/a'] }],
  ['a path that is another one', { allowOrigins: ['https://example.com/a/../b/'] }],
  ['a query', { allowOrigins: ['https://example.com/?a=/'] }],
  ['another protocol', { allowOrigins: ['ftp://example.com'] }],
  ['no lanes', { concurrency: 0 }],
  ['no time', { timeoutMs: 0 }],
  ['negative retries', { retries: -1 }],
])('refuses %s', (_, wrong) => {
  expect(() => prices(wrong)).toThrow(TypeError)
})

test('the circuit opens, spares the dependency, and closes again', async () => {
  const enricher = prices({ circuit: { minRequests: 2, resetMs: 250 } })
  const { name } = enricher
  const changes: Circuit['state'][] = []
  const reached = (state: Circuit['state']) =>
    new Promise<void>((resolve) => {
      circuitChanges.on('change', function listen(circuit: Circuit) {
        if (circuit.name !== name || circuit.state !== state) return
        changes.push(state)
        circuitChanges.off('change', listen)
        resolve()
      })
    })
  const stateNow = () => circuits().find((circuit) => circuit.name === name)?.state

  answer = status(500)
  expect(stateNow()).toBe('closed')
  expect(await enrichOne(enricher, 'a')).toBeInstanceOf(TransientError)
  const opened = reached('open')
  const halfOpen = reached('half-open')
  expect(await enrichOne(enricher, 'a')).toBeInstanceOf(UnavailableError)
  await opened
  expect(await enrichOne(enricher, 'a')).toEqual(new UnavailableError(name))
  expect(requests).toHaveLength(2)

  await halfOpen
  const openedAgain = reached('open')
  const halfOpenAgain = reached('half-open')
  expect(await enrichOne(enricher, 'a')).toBeInstanceOf(UnavailableError)
  await openedAgain
  expect(requests).toHaveLength(3)

  await halfOpenAgain
  const closed = reached('closed')
  answer = status(200)
  expect(await enrichOne(enricher, 'a')).toEqual({ price: {} })
  await closed
  expect(stateNow()).toBe('closed')
  expect(changes).toEqual(['open', 'half-open', 'open', 'half-open', 'closed'])
})

test('an answer about a key does not open the circuit', async () => {
  answer = status(404, 400, 404, 400, 404, 400)
  const enricher = prices({ circuit: { minRequests: 1, resetMs: 50 } })
  for (const sku of ['a', 'b', 'c', 'd', 'e', 'f'])
    expect(await enrichOne(enricher, sku)).toBeInstanceOf(PermanentError)
  expect(circuits().find((circuit) => circuit.name === enricher.name)?.state).toBe('closed')
})

test('a circuit has one owner', () => {
  const { name } = prices()
  expect(() => prices({ name })).toThrow(`there is already a circuit named '${name}'`)
})
