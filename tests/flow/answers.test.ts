/** Answers are short, and the service does not wait for clients that do not read them. */
import { connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const ITEMS = 7_000
const KIB = 1_024

/** Validated at ingest, so that its problems have pointers into the data. */
const counted = defineEvent({
  type: 'counted',
  schema: Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer())),
  validateAt: 'ingest',
})

let patient: TestPipeline
let hurried: TestPipeline

beforeAll(async () => {
  const EVENTFLOW_BATCH_LIMIT = `${ITEMS}`
  patient = await startPipeline([counted], { EVENTFLOW_BATCH_LIMIT, EVENTFLOW_MAX_IN_FLIGHT_BYTES: '12000000' })
  hurried = await startPipeline([], { EVENTFLOW_BATCH_LIMIT, EVENTFLOW_REQUEST_TIMEOUT_MS: '1000' })
})

afterAll(() => Promise.all([patient, hurried].map((pipeline) => pipeline.stop())))

/** More than the kernel buffers for a connection (on this machine at most some MB on either side). */
const UNREAD = gzipSync(`{"${'~'.repeat(70)}":1,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}\n`.repeat(ITEMS))

/** Requests a large answer, and never reads it. */
function askAndForget({ url }: TestPipeline): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    `POST /v1/events/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\nContent-Length: ${UNREAD.length}\r\n\r\n`,
  )
  socket.write(UNREAD)
  return socket
}

const connectionsOf = ({ app }: TestPipeline) =>
  new Promise<number>((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )

const refusedBy = async ({ ingestMetrics }: TestPipeline) => {
  const text = await ingestMetrics.registry.getSingleMetricAsString('eventflow_events_received_total')
  return [...text.matchAll(/outcome="invalid"\S* (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
}

test('a client that does not read its answer is cut off', async () => {
  askAndForget(hurried)
  await until('it is answered', async () => (await refusedBy(hurried)) === ITEMS)
  await until('it is cut off', async () => (await connectionsOf(hurried)) === 0, 20_000)
})

test('unread answers share a limit: the connections with the most unread data are cut off', async () => {
  const sockets: Socket[] = []
  for (let i = 1; i <= 2; i++) {
    sockets.push(askAndForget(patient))
    await until('it is answered', async () => (await refusedBy(patient)) === i * ITEMS)
  }
  await until('the first is cut off', async () => (await connectionsOf(patient)) === 1)
  for (const socket of sockets) socket.destroy()
})

const post = (path: string, body: string, type = 'application/json') =>
  fetch(patient.url + path, {
    method: 'POST',
    headers: { 'content-type': type, 'content-encoding': 'gzip' },
    body: gzipSync(body),
  })

const WORST: [string, string][] = [
  ['a name of many escapes', `{"${'~'.repeat(8_000)}":1}`],
  ['many unknown names', `{${Array.from({ length: 500 }, (_, i) => `"${'~'.repeat(20)}${i}":1`).join()}}`],
  ['control characters', `{"${'\\u0001'.repeat(3_000)}":1}`],
  ['names twice', `{"${'漢'.repeat(3_000)}":1,"${'漢'.repeat(3_000)}":2}`],
  ['a long type', `{"type":"${'x'.repeat(9_000)}","data":{}}`],
  [
    'long names in the data',
    `{"type":"counted","data":{"${'~'.repeat(3_000)}":{${Array.from({ length: 30 }, (_, i) => `"a${i}":"b"`).join()}}}}`,
  ],
  ['text that is no JSON', `{"${'x'.repeat(5_000)}`],
]

test.each(WORST)('an error has 2 KiB at most, and so has each event of a batch: %s', async (_, event) => {
  const one = await post('/v1/events', event)
  const answer = await one.text()
  expect([one.status >= 400, Buffer.byteLength(answer) < 2 * KIB]).toEqual([true, true])
  const lines = await post('/v1/events/batch', `${event}\n`.repeat(100), 'application/x-ndjson')
  const text = await lines.text()
  expect(JSON.parse(text)).toMatchObject({ accepted: 0, rejected: 100 })
  expect(Buffer.byteLength(text)).toBeLessThan(100 * 2 * KIB)
})

test.each([
  ['GET', `/${'~'.repeat(15_000)}`],
  ['DELETE', `/v1/events?${'x'.repeat(15_000)}`],
  ['GET', `/v1/events?${'~'.repeat(15_000)}=1`],
  ['GET', `/v1/events?type=${'%01'.repeat(4_000)}`],
])('so has an error that quotes the request: %s', async (method, path) => {
  const answer = await fetch(patient.url + path, { method })
  expect([answer.status >= 400, Buffer.byteLength(await answer.text()) < 2 * KIB]).toEqual([true, true])
})
