/** The port for metrics and health: on a loopback address it answers programs on this machine, and never a web page. */
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { serveMetrics } from './serve-metrics.js'

let server: Awaited<ReturnType<typeof serveMetrics>>

afterEach(() => void server.close())

async function ask(host: string, headers: Record<string, string> = {}) {
  server = await serveMetrics({
    ...{ host, port: 0, registry: new Registry() },
    refresh: async () => {},
    health: () => ({ status: 'ok' }),
  })
  const { port } = server.address() as AddressInfo
  return new Promise<{ status: number | undefined; body: string; headers: object }>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: '/health', headers, agent: false }, async (answer) => {
      resolve({ status: answer.statusCode, body: await text(answer), headers: answer.headers })
    })
    sent.on('error', reject).end()
  })
}

test('a program on this machine is answered, with headers against use by pages and frames', async () => {
  const { status, body, headers } = await ask('127.0.0.1')
  expect([status, body]).toEqual([200, '{"status":"ok"}\n'])
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
    'cache-control': 'no-store',
  })
})

test.each([
  ['host', { host: 'evil.example' }],
  ['origin', { origin: 'http://evil.example' }],
  ['sec-fetch-site', { 'sec-fetch-site': 'cross-site' }],
  ['x-forwarded-for', { 'x-forwarded-for': '10.0.0.1' }],
])('a foreign %s is refused', async (_, headers) => {
  expect(await ask('127.0.0.1', headers as Record<string, string>)).toMatchObject({ status: 403 })
})

test('where others are meant to reach it, it answers under any host name', async () => {
  expect(await ask('0.0.0.0', { host: 'worker-1:9101' })).toMatchObject({ status: 200 })
})
