/**
 * Access without an API key: only programs on this machine, no web page and no proxy, under any name of this machine.
 */
import { createHash } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { createBootstrapKey } from '@eventflow/db'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readContract } from '../contract.js'

const KEY = `ef_0123456789ab_${createHash('sha256').update('first').digest('hex')}`

let pipeline: TestPipeline
let port: number

beforeAll(async () => {
  pipeline = await startPipeline([])
  port = Number(new URL(pipeline.url).port)
  await createBootstrapKey(pipeline.db, KEY)
})

afterAll(() => pipeline.stop())

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

/** Sends only these headers; `{port}` in them is the service's. */
function ask(method: string, path: string, headers: Record<string, string | string[]>, body = ''): Promise<Answer> {
  const own = Object.entries(headers).map(
    ([name, value]) => [name, `${value}`.replace('{port}', `${port}`)] as [string, string],
  )
  const length = method === 'POST' ? { 'content-type': 'application/json', 'content-length': body.length } : {}
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, setHost: false, agent: false as const }
    const sent = httpRequest({ ...options, headers: { ...Object.fromEntries(own), ...length } }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const makeKey = (headers: Record<string, string>) =>
  ask('POST', '/v1/keys', headers, JSON.stringify({ name: 'mine', scopes: ['admin'] }))

const keysMade = async () =>
  (await pipeline.db.query('SELECT count(*)::integer AS n FROM api_keys')).rows[0].n as number

const LOCAL = '127.0.0.1:{port}'

describe('a program on this machine needs no API key:', () => {
  test.each<[string, Record<string, string>]>([
    ['by address', { host: LOCAL }],
    ['by name', { host: 'localhost:{port}' }],
    ['by name, in capitals', { host: 'LocalHost:{port}' }],
    ['by another of its addresses', { host: '127.9.8.7' }],
    ['by its IPv6 address', { host: '[::1]:{port}' }],
    ['through a tunnel with another port', { host: 'localhost:9999' }],
    ['our own page', { host: LOCAL, origin: `http://${LOCAL}`, 'sec-fetch-site': 'same-origin' }],
    ['a person at the address bar', { host: LOCAL, 'sec-fetch-site': 'none' }],
    ['fetch of Node', { host: LOCAL, 'sec-fetch-mode': 'cors', 'user-agent': 'node' }],
  ])('%s', async (_, headers) => {
    expect((await makeKey(headers)).status).toBe(201)
  })
})

const FOREIGN: [string, Record<string, string>, string][] = [
  ['a name that means this machine', { host: 'evil.example' }, 'is for the host evil.example'],
  ['a name and the right port', { host: 'evil.example:{port}', origin: 'http://evil.example:{port}' }, 'for the host'],
  ['a name that begins like ours', { host: 'localhost.evil.example' }, 'for the host'],
  ['a name that ends like ours', { host: 'evil.localhost' }, 'for the host'],
  ['an address and more', { host: '127.0.0.1.evil.example' }, 'for the host'],
  ['another address', { host: '192.168.0.1:{port}' }, 'for the host'],
  ['every address', { host: '0.0.0.0:{port}' }, 'for the host'],
  ['no host', { host: '' }, 'for the host'],
  ['a page from elsewhere', { host: LOCAL, origin: 'http://evil.example' }, 'by a page from http://evil.example'],
  ['a page of another port', { host: LOCAL, origin: 'http://127.0.0.1:3000' }, 'by a page from'],
  ['a page of another name of ours', { host: LOCAL, origin: 'http://localhost:{port}' }, 'by a page from'],
  ['a page over TLS', { host: LOCAL, origin: `https://${LOCAL}` }, 'by a page from'],
  ['a page without an origin', { host: LOCAL, origin: 'null' }, 'by a page from null'],
  ['another site', { host: LOCAL, 'sec-fetch-site': 'cross-site' }, 'by a page from another site'],
  ['another port of this site', { host: LOCAL, 'sec-fetch-site': 'same-site' }, 'by a page from another site'],
  ['no site that there is', { host: LOCAL, 'sec-fetch-site': 'same-origin, cross-site' }, 'from another site'],
  ...['Forwarded', 'Via', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Real-IP', 'CF-Ray'].map(
    (name) =>
      [`a proxy: ${name}`, { host: LOCAL, [name]: '1.2.3.4' }, `its header ${name.toLowerCase()} shows`] as [
        string,
        Record<string, string>,
        string,
      ],
  ),
]

describe('others need one, and the refusal says why:', () => {
  test.each(FOREIGN)('%s', async (_, headers, why) => {
    const before = await keysMade()
    const refused = await makeKey(headers)
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([401, 'Bearer'])
    const { code, detail } = JSON.parse(refused.body)
    expect(code).toBe('unauthorized')
    expect(detail).toContain(why)
    expect(detail).toMatch(/http:\/\/127\.0\.0\.1, or with a key; .* EVENTFLOW_AUTH=required$/)
    expect(await keysMade()).toBe(before)
    // With an API key any client is accepted, from anywhere.
    expect((await ask('GET', '/v1/keys', { ...headers, authorization: `Bearer ${KEY}` })).status).toBe(200)
    expect((await ask('GET', '/v1/keys', { ...headers, authorization: `Bearer ${KEY}6` })).status).toBe(401)
  })

  test('a request line that names a server', async () => {
    const refused = await ask('GET', 'http://evil.example/v1/events', { host: LOCAL })
    expect([refused.status, refused.body]).toEqual([401, expect.stringContaining('absolute URL')])
  })
})

test('no route reveals anything of the pipeline under a foreign name for this machine', async () => {
  const { document } = await readContract(pipeline.url)
  const open: string[] = []
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of Object.keys(methods).flatMap((name) => (name === 'get' ? ['GET', 'HEAD'] : [name]))) {
      const url = path.replaceAll(/\{\w+\}/g, '1')
      const { status } = await ask(method.toUpperCase(), url, { host: 'evil.example' })
      if (status !== 401) open.push(`${method} ${path}`)
    }
  }
  expect(open.sort()).toEqual(['GET /livez', 'GET /readyz', 'HEAD /livez', 'HEAD /readyz'])
  for (const path of ['/openapi.json', '/docs', '/docs/json', '/docs/static/index.css']) {
    expect([path, (await ask('GET', path, { host: 'evil.example' })).status]).toEqual([path, 401])
    expect([path, (await ask('GET', path, { host: LOCAL })).status]).toEqual([path, 200])
  }
  // Its files are the same for all, and a person enters the API key there.
  expect((await ask('GET', '/', { host: 'evil.example' })).status).toBe(200)
})

test('a long or strange name is not echoed as it came', async () => {
  const { body } = await ask('GET', '/v1/events', { host: `${'x'.repeat(9_000)}.example` })
  expect(body.length).toBeLessThan(700)
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('data', (chunk) => resolve(`${chunk}`))
    socket.write('GET /v1/events HTTP/1.1\r\nHost: "<script>\x01\r\n\r\n', 'latin1')
  })
  expect(answer).toMatch(/^HTTP\/1\.1 40[01] /)
})
