/** Whether traces are on, in which form they are sent, and what happens without a collector. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { ConfigError, IngestConfig, readConfig } from './config.js'
import { createLog } from './log.js'
import { isSampled, parseTraceparent, traceparentOf } from './traceparent.js'
import { startTracing } from './tracing.js'

const REQUIRED = { DATABASE_URL: 'postgres://here', REDIS_URL: 'redis://here', EVENTFLOW_EVENTS: 'events' }
const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`

const logged: string[] = []
const log = createLog(
  'test',
  { EVENTFLOW_LOG_LEVEL: 'info', EVENTFLOW_LOG_BATCHES_PER_SECOND: 1 },
  {},
  { write: (line) => logged.push(line) },
)
const given: string[] = []
let server: Server | undefined

/** The SDK reads them from the environment itself. */
function start(settings: Record<string, string>) {
  Object.assign(process.env, settings)
  given.push(...Object.keys(settings))
  return startTracing('ingest', readConfig(IngestConfig, { ...REQUIRED, ...settings }), log)
}

afterEach(() => {
  for (const name of given.splice(0)) delete process.env[name]
  server?.close()
  server = undefined
  logged.length = 0
})

const ANSWER = 'what the collector says'

/** A collector that keeps what it is sent. */
async function collect(status = 200): Promise<{ url: string; requests: { message: IncomingMessage; body: Buffer }[] }> {
  const requests: { message: IncomingMessage; body: Buffer }[] = []
  const collector = createServer(async (message, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of message) chunks.push(chunk as Buffer)
    requests.push({ message, body: Buffer.concat(chunks) })
    response.writeHead(status).end(status === 200 ? undefined : ANSWER)
  })
  server = collector
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`, requests }
}

describe('traces are off', () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }

  test.each([
    ['without an endpoint', {}],
    ['with OTEL_SDK_DISABLED', { ...endpoint, OTEL_SDK_DISABLED: 'true' }],
    ['with OTEL_TRACES_EXPORTER=none', { ...endpoint, OTEL_TRACES_EXPORTER: 'none' }],
    ['where no trace would be kept', { ...endpoint, OTEL_TRACES_SAMPLER: 'always_off' }],
  ])('%s', async (_, settings) => {
    expect(await start(settings)).toBeUndefined()
  })
})

test('settings that would be without effect stop the start, each by its name', () => {
  const wrong = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_TRACES_SAMPLER: 'sometimes',
    OTEL_TRACES_SAMPLER_ARG: '1%',
  }
  expect(() => readConfig(IngestConfig, { ...REQUIRED, ...wrong })).toThrow(ConfigError)
  for (const name of Object.keys(wrong)) {
    expect(() => readConfig(IngestConfig, { ...REQUIRED, ...wrong })).toThrow(`${name} is not valid`)
  }
})

test.each([
  ['http/protobuf', 'application/x-protobuf', {}],
  ['http/json', 'application/json', { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }],
])('spans are sent as %s, with the headers and the resource that are set', async (_, contentType, protocol) => {
  const { url, requests } = await collect()
  const tracing = await start({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/traces`,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20key',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=staging',
    ...protocol,
  })
  tracing!.tracer.startSpan('of the events').end()
  tracing!.batchTracer.startSpan('of the batch').end()
  await tracing!.stop()
  expect(requests).toHaveLength(1)
  const [{ message, body }] = requests as [(typeof requests)[number]]
  expect(message.url).toBe('/traces')
  expect(message.headers).toMatchObject({ 'content-type': contentType, authorization: 'Bearer key' })
  for (const text of ['of the events', 'of the batch', 'eventflow-ingest', 'staging'])
    expect(body.includes(text)).toBe(true)
})

test('a collector that refuses spans is complained of once, and its answer is not in the log', async () => {
  const { url, requests } = await collect(400)
  const tracing = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '1' })
  for (const name of ['first', 'second']) {
    const sent = once(server!, 'request')
    tracing!.tracer.startSpan(name).end()
    await sent
  }
  await tracing!.stop()
  expect(requests).toHaveLength(2)
  expect(logged.filter((line) => line.includes('spans could not be sent'))).toHaveLength(1)
  expect(logged.join()).not.toContain(ANSWER)
})

describe('a traceparent', () => {
  test('names a span', () => {
    const span = parseTraceparent(TRACEPARENT)!
    expect(span).toEqual({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1, isRemote: true })
    expect(traceparentOf(span)).toBe(TRACEPARENT)
    expect(traceparentOf({ ...span, traceFlags: 0 })).toBe(TRACEPARENT.replace(/1$/, '0'))
  })

  test.each([
    ['nothing', undefined],
    ['no such thing', 'a trace'],
    ['no trace', TRACEPARENT.replaceAll('a', '0')],
    ['no span', TRACEPARENT.replaceAll('b', '0')],
    ['an impossible version', TRACEPARENT.replace('00', 'ff')],
  ])('names none if it is %s', (_, text) => {
    expect(parseTraceparent(text)).toBeUndefined()
  })

  test.each([
    ['01', true],
    ['03', true],
    ['ff', true],
    ['00', false],
    ['02', false],
  ])('with the flags %s is sampled: %s', (flags, sampled) => {
    expect(isSampled(TRACEPARENT.replace(/01$/, flags))).toBe(sampled)
  })
})
