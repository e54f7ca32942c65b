/** The load producer as a user runs it, against a server that only records. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

interface Stored {
  id: string
  partitionkey: string
  data: { date: string }
}

const stored = new Map<string, Stored>()
let server: Server
let url: string

beforeAll(async () => {
  server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      const figures = { accepted: stored.size, processed: stored.size, failed: 0, retrying: 0, unsettled: 0 }
      return response.end(JSON.stringify({ events: figures }))
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body: Stored | Stored[] = JSON.parse(Buffer.concat(chunks).toString())
    const items = [body].flat().map((event, index) => {
      const status = stored.has(event.id) ? 'duplicate' : 'accepted'
      if (status === 'accepted') stored.set(event.id, event)
      return { index, id: event.id, status }
    })
    const { id, status } = items[0]!
    response.end(
      JSON.stringify(Array.isArray(body) ? { items } : { id, status: 'accepted', duplicate: status === 'duplicate' }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(() => void server.close())

test('the flights: each key in the order of the file, and all of them duplicates the second time', async () => {
  const first = await produce(
    '--url',
    url,
    '--file',
    'flights',
    '--concurrency',
    '8',
    '--batch',
    '50',
    '--wait',
    '--json',
  )
  expect(JSON.parse(first.stdout)).toMatchObject({ sent: 20_000, accepted: 20_000, settled: { processed: 20_000 } })
  expect(first.code).toBe(0)
  const lastOf = new Map<string, string>()
  for (const { partitionkey, data } of stored.values()) {
    expect(data.date >= (lastOf.get(partitionkey) ?? '')).toBe(true)
    lastOf.set(partitionkey, data.date)
  }
  const second = await produce('--url', url, '--file', 'flights', '--json')
  expect(JSON.parse(second.stdout)).toMatchObject({ sent: 20_000, accepted: 0, duplicate: 20_000 })
})

test('the report for a person', async () => {
  const { stdout, code } = await produce('--url', url, '--count', '500', '--duplicates', '0.1')
  expect(stdout).toMatch(/^550 events sent in .* s, .*\/s\n/)
  expect(stdout).toMatch(
    /accepted +500\n +duplicates +50\n +rejected +0\n +undelivered +0\n +requests +\d+\n +latency +p50/,
  )
  expect(code).toBe(0)
})

test('an unreachable server, and wrong usage, give a remedy', async () => {
  const unreachable = await produce('--url', 'http://127.0.0.1:1')
  expect(unreachable).toMatchObject({ code: 1, stderr: expect.stringContaining('is `npm start` running?') })
  const wrong = await produce('--invalid', '2')
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('A number from 0 to 1.') })
})

function produce(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const script = fileURLToPath(new URL('./producer.js', import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}
