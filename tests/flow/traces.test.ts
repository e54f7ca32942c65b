/** Traces from the request through the stream to the handler, as a collector receives them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createDatabase, post, redisCacheDir, type Stack, startStack, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { places } from '../faults/places.js'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.js'

const DEFINITIONS = join(import.meta.dirname, '../traced-events')

/** The handler's error message: it may quote the event, and so must be in no span. */
const SECRET = 'a secret of the event'

let receiver: OtlpReceiver
let stack: Stack
let traces = 0

beforeAll(async () => {
  receiver = await startOtlpReceiver()
  stack = await startStack({
    ingests: 1,
    workers: 1,
    definitions: DEFINITIONS,
    scripts: places.scripts,
    cacheDir: redisCacheDir(),
    databaseUrl: await createDatabase(),
    settings: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    },
  })
  // An event that a worker reads from Postgres, because it has only just begun, was received from no stream.
  await until('the worker reads all streams', async () => {
    const text = await (await fetch(`${stack.workerUrls[0]}/metrics`)).text()
    const catchingUp = [...text.matchAll(/^eventflow_catching_up\{.*\} (\d)$/gm)].map(([, value]) => value)
    return catchingUp.length === 16 && catchingUp.every((value) => value === '0')
  })
})

afterAll(async () => {
  await stack?.stop()
  await receiver?.close()
})

/** A new trace, as a client would begin it. */
function newTrace(sampled = true) {
  const traceId = (++traces).toString(16).padStart(32, 'c')
  return { traceId, traceparent: `00-${traceId}-${CLIENT_SPAN}-${sampled ? '01' : '00'}` }
}

const CLIENT_SPAN = 'b7ad6b7169203331'

async function send(path: string, body: unknown, traceparent?: string) {
  const response = await post(`${stack.urls[0]}${path}`, body, traceparent ? { traceparent } : {})
  return (await response.json()) as { id: string; items: { id: string }[] }
}

const step = (mood?: string) => ({ type: 'traced.step', data: mood === undefined ? {} : { mood } })

/** The spans as a tree: child spans come after their parent, indented, in the order of their beginnings. */
function treeOf(spans: readonly ReceivedSpan[], parent = CLIENT_SPAN, indent = ''): string[] {
  return spans
    .filter(({ parentSpanId = '' }) => parentSpanId === parent)
    .flatMap((span) => [`${indent}${lineOf(span)}`, ...treeOf(spans, span.spanId, `${indent}  `)])
}

const lineOf = ({ service, name, attributes, events, status }: ReceivedSpan) =>
  [
    `${service.replace('eventflow-', '')}: ${name}`,
    ...['eventflow.attempt', 'eventflow.outcome', 'error.type'].flatMap((key) => (attributes[key] ?? []) as string[]),
    ...events.map((event) => `[${event.name} ${event.attributes['error.type']}]`),
    ...(status.code === 2 ? ['ERROR'] : []),
  ].join(' ')

test('a trace has the whole path of its event, with each attempt', async () => {
  const { traceId, traceparent } = newTrace()
  const { id } = await send('/v1/events', step('flaky'), traceparent)
  const spans = await receiver.trace(traceId, 15)
  expect(treeOf(spans)).toEqual([
    'ingest: POST /v1/events',
    '  ingest: send ef:events',
    '    worker: receive ef:events 1',
    '    worker: process ef:events 1 retry [retry RangeError]',
    '      worker: enrich moody',
    '        worker: asking',
    '      worker: settle ef:events 1',
    '        worker: handle traced.step RangeError ERROR',
    '          worker: working',
    '    worker: process ef:events 2 processed',
    '      worker: enrich moody',
    '        worker: asking',
    '      worker: settle ef:events 2',
    '        worker: handle traced.step',
    '          worker: working',
  ])

  const named = (name: string) => spans.find((span) => span.name === name)!
  expect(named('POST /v1/events')).toMatchObject({
    kind: 2,
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/events',
      'url.path': '/v1/events',
      'url.scheme': 'http',
      'http.response.status_code': 202,
    },
  })
  const messaging = {
    'messaging.system': 'redis',
    'messaging.destination.name': 'ef:events',
    'messaging.destination.partition.id': expect.stringMatching(/^\d+$/),
    'messaging.message.conversation_id': id,
    'cloudevents.event_id': id,
    'cloudevents.event_type': 'traced.step',
  }
  const consuming = {
    ...messaging,
    'messaging.consumer.group.name': 'eventflow',
    'messaging.message.id': expect.stringMatching(/^\d+-\d+$/),
  }
  const operation = (name: string) => ({ 'messaging.operation.name': name, 'messaging.operation.type': name })
  expect(named('send ef:events')).toMatchObject({ kind: 4, attributes: { ...messaging, ...operation('send') } })
  expect(named('receive ef:events')).toMatchObject({ kind: 3, attributes: { ...consuming, ...operation('receive') } })
  expect(named('process ef:events')).toMatchObject({ kind: 5, attributes: { ...consuming, ...operation('process') } })
  expect(named('settle ef:events')).toMatchObject({ kind: 3, attributes: { ...consuming, ...operation('settle') } })
  expect(named('process ef:events').events).toEqual([
    {
      name: 'retry',
      attributes: {
        'eventflow.attempt': 1,
        'eventflow.component': 'handle',
        'error.type': 'RangeError',
        'eventflow.delay_ms': expect.any(Number),
      },
    },
  ])
  expect(named('asking').attributes).toEqual({ sent: `00-${traceId}-${named('asking').spanId}-01` })
  expect(JSON.stringify(spans)).not.toContain(SECRET)
})

test('a consumer group adds spans of its own, with its name', async () => {
  const { traceId, traceparent } = newTrace()
  await send('/v1/events', { type: 'traced.read', data: {} }, traceparent)
  const spans = await receiver.trace(traceId, 9)
  expect(treeOf(spans).slice(3)).toEqual([
    '    worker: process ef:events 1 processed',
    '      worker: settle ef:events 1',
    '    worker: process ef:events 1 processed',
    '      worker: settle ef:events 1',
    '        worker: handle traced.read',
    '          worker: reading',
  ])
  const readers = spans.filter(({ name }) => name === 'process ef:events' || name === 'settle ef:events')
  expect(readers.map(({ attributes }) => attributes['messaging.consumer.group.name']).sort()).toEqual([
    ...['eventflow', 'eventflow', 'tracing', 'tracing'],
  ])
})

test('a dead letter is an error in its trace, and names its trace in the log', async () => {
  const { traceId, traceparent } = newTrace()
  await send('/v1/events', step('bad'), traceparent)
  const spans = await receiver.trace(traceId, 9)
  expect(treeOf(spans)).toContain('    worker: process ef:events 1 dead PermanentError ERROR')
  expect(JSON.stringify(spans)).not.toContain(SECRET)
  const log = readFileSync(join(stack.dir, 'logs/worker-1.log'), 'utf8').split('\n')
  expect(log.find((line) => line.includes('event failed'))).toContain(`"trace_id":"${traceId}"`)
})

test('without an incoming trace, ingest begins one, and the event keeps it', async () => {
  const { id } = await send('/v1/events', step())
  const stored = await stack.db.query('SELECT traceparent FROM raw_events WHERE event_id = $1', [id])
  const [, traceId, spanId, flags] = stored.rows[0].traceparent.split('-')
  expect(flags).toBe('01')
  const spans = await receiver.trace(traceId, 8)
  const [request] = treeOf(spans, '')
  expect(request).toBe('ingest: POST /v1/events')
  expect(treeOf(spans, spanId)).toContain('worker: process ef:events 1 processed')
})

test('the spans of a batch link to the traces of its events, and these to them', async () => {
  const [request, own, quiet] = [newTrace(), newTrace(), newTrace(false)]
  const sum = { type: 'traced.sum', data: {} }
  const events = [step(), { ...sum, traceparent: own.traceparent }, { ...step(), traceparent: quiet.traceparent }]
  // A worker reads the entries already in the stream at once.
  const [worker] = stack.workers
  await worker!.end('SIGTERM')
  await send(
    '/v1/events/batch',
    events.map((event) => ({ ...event, partitionkey: 'one' })),
    request.traceparent,
  )
  worker!.start()

  const inRequest = await receiver.trace(request.traceId, 6)
  const inOwn = await receiver.trace(own.traceId, 2)
  expect(treeOf(inRequest)).toEqual([
    'ingest: POST /v1/events/batch',
    '  ingest: send ef:events',
    '    worker: process ef:events 1 processed',
    '      worker: settle ef:events 1',
    '        worker: handle traced.step',
    '          worker: working',
  ])
  expect(treeOf(inOwn)).toEqual(['worker: process ef:events 1 processed', '  worker: settle ef:events 1'])
  const sending = inRequest.find(({ name }) => name === 'send ef:events')!
  expect(sending.attributes['messaging.batch.message_count']).toBe(3)
  const toOwn = { traceId: own.traceId, spanId: CLIENT_SPAN }
  expect(sending.links).toMatchObject([toOwn])

  const ofEvent = inOwn.find(({ name }) => name === 'process ef:events')!
  const together = await receiver.trace(ofEvent.links[0]!.traceId, 6)
  expect(treeOf(together, '')).toEqual([
    'worker: process ef:events',
    '  worker: enrich moody',
    '    worker: asking',
    '  worker: settle ef:events',
    '    worker: handle traced.sum',
    '      worker: summing',
  ])
  const handling = together.find(({ name }) => name === 'handle traced.sum')!
  expect(handling.links).toMatchObject([{ traceId: own.traceId, spanId: ofEvent.spanId }])
  const processing = together.find(({ name }) => name === 'process ef:events')!
  expect(processing.attributes['messaging.batch.message_count']).toBe(3)
  expect(processing.links).toMatchObject([{ traceId: request.traceId, spanId: sending.spanId }, toOwn])
  const received = receiver.spans.filter(({ name, links }) => name === 'receive ef:events' && links.length > 0)
  expect(received).toMatchObject([{ links: [{ traceId: request.traceId }, { traceId: own.traceId }] }])
  expect(receiver.spans.filter(({ traceId }) => traceId === quiet.traceId)).toEqual([])
})

test('an unsampled trace leaves no span, and stays with its event', async () => {
  const [quiet, next] = [newTrace(false), newTrace()]
  const { id } = await send('/v1/events', step('flaky'), quiet.traceparent)
  await stack.drained()
  await send('/v1/events', step(), next.traceparent)
  await receiver.trace(next.traceId, 9)
  expect(receiver.spans.filter(({ traceId }) => traceId === quiet.traceId)).toEqual([])
  const stored = await stack.db.query('SELECT traceparent FROM raw_events WHERE event_id = $1', [id])
  expect(stored.rows[0].traceparent).toBe(quiet.traceparent)
})

test('while the collector does not answer, events flow on, and a stop waits for it for a few seconds only', async () => {
  receiver.hang()
  for (let i = 0; i < 20; i++) {
    await send(
      '/v1/events/batch',
      Array.from({ length: 200 }, () => step()),
    )
  }
  await stack.drained()
  const startedAt = performance.now()
  const programs = [...stack.ingests, ...stack.workers]
  expect(await Promise.all(programs.map((program) => program.end('SIGTERM')))).toEqual(['code 0', 'code 0'])
  expect(performance.now() - startedAt).toBeLessThan(8_000)
})
