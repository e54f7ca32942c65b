/** Ingest under hostile load: compressed, endless, slow, malformed and too many requests. */
import { randomUUID } from 'node:crypto'
import { brotliCompressSync, constants, deflateSync, gunzipSync, gzipSync } from 'node:zlib'
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Contract, readContract } from '../contract.js'
import { dialTo } from '../dial.js'

const BODY_LIMIT = 200_000
const CONNECTIONS = 30

let pipeline: TestPipeline
let contract: Contract

beforeAll(async () => {
  pipeline = await startPipeline([], {
    EVENTFLOW_BODY_LIMIT_BYTES: `${BODY_LIMIT}`,
    EVENTFLOW_REQUEST_TIMEOUT_MS: '1000',
    EVENTFLOW_MAX_CONNECTIONS: `${CONNECTIONS}`,
  })
  contract = await readContract(pipeline.url)
})

afterAll(() => pipeline.stop())

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
type Answer = any
const json = (response: Response) => response.json() as Promise<Answer>
const send = (body: string | Uint8Array, headers = {}) => post(`${pipeline.url}/v1/events`, body, headers)

async function expectProblem(response: Response, code: ProblemCode) {
  expect(await json(response)).toMatchObject({ code, status: PROBLEMS[code].status })
  expect(response.status).toBe(PROBLEMS[code].status)
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
}

describe('a compressed body', () => {
  const event = () => ({ type: 'note.taken', id: randomUUID(), data: { text: 'hello' } })

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity', (text: string) => Buffer.from(text)],
  ])('is accepted as %s, of one event and of many', async (encoding, compress) => {
    const one = event()
    const headers = { 'content-encoding': encoding }
    expect((await send(compress(JSON.stringify(one)), headers)).status).toBe(202)
    expect(await json(await fetch(`${pipeline.url}/v1/events/${one.id}`))).toMatchObject({ data: one.data })
    const many = compress(JSON.stringify([event(), one]))
    expect(await json(await post(`${pipeline.url}/v1/events/batch`, many, headers))).toMatchObject({
      ...{ accepted: 1, duplicate: 1 },
    })
  })

  test.each(['zstd', 'compress', 'gzip, gzip', 'constructor', ''])('is not accepted as %j', async (encoding) => {
    const sent = await send(gzipSync(JSON.stringify(event())), { 'content-encoding': encoding })
    expect(await json(sent.clone())).toMatchObject({ detail: 'The content encoding must be one of gzip, deflate, br' })
    await expectProblem(sent, 'unsupported-media-type')
  })

  test.each([
    ['no gzip', Buffer.from(JSON.stringify(event()))],
    ['cut off', gzipSync(JSON.stringify(event())).subarray(0, -9)],
    ['damaged', gzipSync('x'.repeat(1_000)).fill(7, 12, 14)],
    ['nothing', Buffer.alloc(0)],
  ])('that is %s is malformed', async (_, body) => {
    await expectProblem(await send(body, { 'content-encoding': 'gzip' }), 'malformed-body')
  })

  const padded = (bytes: number) => `${JSON.stringify(event())}${' '.repeat(bytes)}`.slice(0, bytes)

  test('may inflate to the limit, and no further', async () => {
    expect((await send(gzipSync(padded(100_000)), { 'content-encoding': 'gzip' })).status).toBe(202)
    expect((await send(gzipSync(padded(BODY_LIMIT)), { 'content-encoding': 'gzip' })).status).toBe(202)
    await expectProblem(await send(gzipSync(padded(BODY_LIMIT + 1)), { 'content-encoding': 'gzip' }), 'body-too-large')
  })

  test.each([
    ['gzip', (zeros: Buffer) => gzipSync(zeros, { level: 1 })],
    ['br', (zeros: Buffer) => brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ])('that is a bomb is not inflated: %s', async (encoding, compress) => {
    const bomb = compress(Buffer.alloc(40_000_000))
    expect(bomb.length).toBeLessThan(BODY_LIMIT)
    const before = process.memoryUsage().rss
    await expectProblem(await send(bomb, { 'content-encoding': encoding }), 'body-too-large')
    expect(process.memoryUsage().rss - before).toBeLessThan(20_000_000)
  })

  test('that never ends and inflates to nothing is cut off', async () => {
    // Each member has 60 KiB in the extra field of its header (RFC 1952), and no content.
    const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0, 0xf0])
    const nothing = Buffer.concat([header, Buffer.alloc(0xf000), gzipSync('').subarray(10)])
    expect(gunzipSync(nothing)).toHaveLength(0)
    const members = Buffer.concat(Array.from({ length: 10 }, () => nothing))
    let sentBytes = 0
    const body = new ReadableStream({
      pull(stream) {
        sentBytes += members.length
        stream.enqueue(members)
      },
    })
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    const init = { method: 'POST', headers, body, duplex: 'half' as const }
    await expectProblem(await fetch(`${pipeline.url}/v1/events`, init), 'body-too-large')
    expect(sentBytes).toBeGreaterThan(BODY_LIMIT)
  })
})

const dial = () => dialTo(pipeline.url)

const talk = (text: string) => {
  const { socket, closed } = dial()
  socket.write(text, 'latin1')
  return closed
}

/** If the route is unknown, the answer is as on this one. */
function expectRawProblem(text: string, code: ProblemCode) {
  const { status, body } = contract.read('POST', '/v1/events', text)
  expect([status, body.status]).toEqual([PROBLEMS[code].status, PROBLEMS[code].status])
  expect(body).toMatchObject({ type: `urn:eventflow:problem:${code}`, code })
}

const HEAD = 'POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
const EVENT = '{"type":"smuggled","data":{}}'
const LENGTH = `Content-Length: ${EVENT.length}\r\n`
const CHUNKS = `${EVENT.length.toString(16)}\r\n${EVENT}\r\n0\r\n\r\n`

describe('a request that does not arrive', () => {
  test.each([
    ['its line', 'POST /v1/ev'],
    ['its headers', HEAD],
    ['its body', `${HEAD}${LENGTH}\r\n{"type":`],
    ['the end of its chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{"typ`],
  ])('in time, because of %s, is answered 408 and closed', async (_, text) => {
    expectRawProblem(await talk(text), 'request-timeout')
  })

  test('at all leaves nothing behind', async () => {
    const { socket } = dial()
    socket.write(`${HEAD}${LENGTH}\r\n${EVENT.slice(0, -1)}`)
    socket.end()
    expect((await send(EVENT)).status).toBe(202)
  })
})

describe('invalid HTTP is answered 400 once, closed, and stores nothing:', () => {
  test.each([
    ['no HTTP at all', 'EHLO mail.example.org\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['both lengths', `${HEAD}${LENGTH}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`],
    ['two lengths', `${HEAD}${LENGTH}Content-Length: 5\r\n\r\n${EVENT}`],
    ['an invalid length', `${HEAD}Content-Length: +${EVENT.length}\r\n\r\n${EVENT}`],
    ['a list of lengths', `${HEAD}Content-Length: ${EVENT.length}, ${EVENT.length}\r\n\r\n${EVENT}`],
    ['chunked, but not last', `${HEAD}Transfer-Encoding: chunked, identity\r\n\r\n${CHUNKS}`],
    ['a space before the colon', `${HEAD}Transfer-Encoding : chunked\r\n\r\n${CHUNKS}`],
    ['a folded header', `${HEAD}${LENGTH}X-A: b\r\n c\r\n\r\n${EVENT}`],
    ['NUL in a header', `${HEAD}${LENGTH}X-A: b\0c\r\n\r\n${EVENT}`],
    ['an invalid chunk size', `${HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n${EVENT}\r\n0\r\n\r\n`],
    ['a chunk longer than it says', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n${EVENT}\r\n0\r\n\r\n`],
  ])('%s', async (_, text) => {
    expectRawProblem(await talk(text), 'invalid-query')
  })

  afterAll(async () => {
    const { rows } = await pipeline.db.query(
      `SELECT count(*)::integer AS count FROM raw_events WHERE type = 'smuggled'`,
    )
    // The one valid event.
    expect(rows[0].count).toBe(1)
  })
})

test('headers may have 16 KiB', async () => {
  const request = (bytes: number) =>
    `GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-A: ${'x'.repeat(bytes)}\r\n\r\n`
  expect(await talk(request(16_000))).toMatch(/^HTTP\/1\.1 200 /)
  expectRawProblem(await talk(request(17_000)), 'headers-too-large')
})

test('more connections than are allowed are closed, and counted', async () => {
  const refused = async () =>
    Number(/eventflow_connections_refused_total\S* (\d+)/.exec(await pipeline.ingestMetrics.registry.metrics())![1])
  const before = await refused()
  const dialled = Array.from({ length: CONNECTIONS + 5 }, dial)
  await until('some are refused', async () => (await refused()) >= before + 5)
  for (const { socket } of dialled) socket.destroy()
  await until('there is room again', async () => {
    const sent = await send('{"type":"note.taken","data":{}}').catch(() => undefined)
    return sent?.status === 202
  })
})
