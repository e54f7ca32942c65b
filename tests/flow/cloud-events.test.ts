/** CloudEvents 1.0 over HTTP: the modes of the official SDK, what the specification allows, and what we refuse. */
import { randomUUID } from 'node:crypto'
import { request } from 'node:http'
import { eventIdOf } from '@eventflow/core'
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { CloudEvent, CONSTANTS, emitterFor, httpTransport, Mode } from 'cloudevents'

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([])
})

afterAll(() => pipeline.stop())

const STRUCTURED = { 'content-type': 'application/cloudevents+json' }
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const data = { text: 'hello', list: [1, { a: null }] }
const full = () => ({
  id: randomUUID() as string,
  source: '/notes',
  type: 'note.taken',
  time: '2001-01-01T00:47:00.000Z',
  subject: 'greeting',
  dataschema: 'https://example.org/note.json',
  partitionkey: 'k',
  correlationid: 'c',
  causationid: 'why',
  traceparent: TRACEPARENT,
  sampledrate: 30,
  data,
})

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
type Answer = any
const get = async (id: string, source = '/notes'): Promise<Answer> =>
  (await fetch(`${pipeline.url}/v1/events/${encodeURIComponent(id)}?source=${encodeURIComponent(source)}`)).json()

const idOf = ({ id, source }: { id: string; source: string }) => eventIdOf('default', source, id)

/** An event as it must be stored, with its extensions as headers or JSON deliver them. */
const found = ({ subject, dataschema, sampledrate, ...event }: ReturnType<typeof full>, extensions: object = {}) => ({
  ...event,
  id: idOf(event),
  external_id: event.id,
  extensions: { subject, dataschema, sampledrate, ...extensions },
  status: 'accepted',
})

describe('the official SDK', () => {
  test.each([Mode.STRUCTURED, Mode.BINARY])('sends in %s mode', async (mode) => {
    const emit = emitterFor(httpTransport(`${pipeline.url}/v1/events`), { mode })
    const event = full()
    const sent = (await emit(new CloudEvent(event))) as { body: string }
    expect(JSON.parse(sent.body)).toEqual({ id: idOf(event), status: 'accepted', duplicate: false })
    expect(await get(event.id)).toMatchObject(found(event, mode === Mode.BINARY ? { sampledrate: '30' } : {}))
    const again = (await emit(new CloudEvent(event))) as { body: string }
    expect(JSON.parse(again.body)).toMatchObject({ duplicate: true })
  })

  test('sends with its own defaults', async () => {
    const event = new CloudEvent({ type: 'note.taken', source: '/notes', data })
    for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
      const sent = (await emitterFor(httpTransport(`${pipeline.url}/v1/events`), { mode })(event)) as { body: string }
      expect(JSON.parse(sent.body)).toEqual({
        id: idOf(event),
        status: 'accepted',
        duplicate: mode === Mode.STRUCTURED,
      })
    }
    expect(await get(event.id)).toMatchObject({ time: event.time, data })
  })

  test('sends in batch mode', async () => {
    const events = [full(), { ...full(), id: 'note 1' }, full()]
    const headers = { [CONSTANTS.HEADER_CONTENT_TYPE]: `${CONSTANTS.MIME_CE_BATCH}; charset=utf-8` }
    const body = JSON.stringify(events.map((event) => new CloudEvent(event)))
    const sent = (await httpTransport(`${pipeline.url}/v1/events/batch`)({ headers, body })) as { body: string }
    const ids = events.map(idOf)
    expect(JSON.parse(sent.body)).toEqual({
      ...{ accepted: 3, duplicate: 0, rejected: 0 },
      items: ids.map((id, index) => ({ index, id, status: 'accepted' })),
    })
    expect(await get('note 1')).toMatchObject(found(events[1]!))
  })
})

test('handlers see the extensions, from the stream as from Postgres', async () => {
  const seen: unknown[] = []
  const note = defineEvent({
    type: 'note.taken',
    schema: Type.Object({}),
    handle: async ({ extensions }) => {
      seen.push(extensions)
    },
  })
  const own = await startPipeline([note])
  try {
    const send = () => post(`${own.url}/v1/events`, { specversion: '1.0', ...full() }, STRUCTURED)
    await send()
    await own.redis.del(...(await own.redis.keys(`${own.prefix}:*`)))
    await own.startWorker()
    await own.drained()
    await send()
    await own.drained()
    const extensions = { subject: 'greeting', dataschema: 'https://example.org/note.json', sampledrate: 30 }
    expect(seen).toEqual([extensions, extensions])
  } finally {
    await own.stop()
  }
})

/** Sends headers exactly as given, also repeated ones, which fetch does not. */
function sendRaw(headers: readonly string[], body: string): Promise<{ status: number; answer: Answer }> {
  return new Promise((resolve, reject) => {
    const sent = request(`${pipeline.url}/v1/events`, {
      method: 'POST',
      headers: ['host', 'localhost', 'content-length', `${Buffer.byteLength(body)}`, ...headers],
    })
    sent.on('error', reject)
    sent.on('response', async (response) => {
      const text = Buffer.concat(await response.toArray()).toString()
      resolve({ status: response.statusCode!, answer: JSON.parse(text) })
    })
    sent.end(body)
  })
}

const binary = (headers: Record<string, string>) =>
  Object.entries({
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-type': 'note.taken',
    'ce-source': '/notes',
    'ce-id': randomUUID(),
    ...headers,
  }).flat()

describe('binary mode', () => {
  test.each([
    ['percent-encoded', 'Euro%20%E2%82%AC%20%f0%9f%98%80', 'Euro € 😀'],
    ['with unnecessary encoding', '%6e%6F', 'no'],
    ['in quotes', '"a \\"b\\" %22"', 'a "b" "'],
    ['with spaces as they are', 'a b', 'a b'],
    ['decoded once', '%2541', '%41'],
  ])('accepts a header value %s', async (_, header, subject) => {
    const { status, answer } = await sendRaw(binary({ 'ce-subject': header }), '{}')
    expect(status).toBe(202)
    expect(await get(answer.id)).toMatchObject({ extensions: { subject } })
  })

  test('accepts an id of any text', async () => {
    const { answer } = await sendRaw(binary({ 'ce-id': 'note%2017%2F%CE%B1' }), '{"a":1}')
    expect(answer.id).toBe(eventIdOf('default', '/notes', 'note 17/α'))
    expect(await get('note 17/α')).toMatchObject({ id: answer.id, external_id: 'note 17/α', data: { a: 1 } })
  })

  test.each<[string, string[], string, string]>([
    ['without an id', binary({}).filter((part, n, all) => part !== 'ce-id' && all[n - 1] !== 'ce-id'), '{}', '/id'],
    ['of another version', binary({ 'ce-specversion': '0.3' }), '{}', '/specversion'],
    ['with a header that is no UTF-8', binary({ 'ce-subject': '%C0%A0' }), '{}', '/subject'],
    ['with a header that is half encoded', binary({ 'ce-subject': '100%' }), '{}', '/subject'],
    ['with a header in Latin-1', binary({ 'ce-subject': 'caf\xe9' }), '{}', '/subject'],
    ['with NUL in a header', binary({ 'ce-subject': '%00' }), '{}', '/subject'],
    ['with an empty type', binary({ 'ce-type': '' }), '{}', '/type'],
    ['with a header that comes twice', [...binary({}), 'ce-subject', 'a', 'CE-Subject', 'b'], '{}', '/subject'],
    ['with a content type of its own', binary({ 'ce-datacontenttype': 'application/json' }), '{}', '/datacontenttype'],
    ['with data in a header', binary({ 'ce-data': '{}' }), '{}', '/data'],
    ['with an invalid name', binary({ 'ce-my_name': 'x' }), '{}', '/my_name'],
    ['with __proto__', binary({ 'ce-__proto__': 'x' }), '{}', '/__proto__'],
    ['with data that is a list', binary({}), '[]', '/data'],
    ['with data that would change', binary({}), '{"n":{"a":1e400}}', '/data/n/a'],
  ])('%s is refused', async (_, headers, body, pointer) => {
    const { status, answer } = await sendRaw(headers, body)
    expect({ status, code: answer.code }).toEqual({ status: 400, code: 'invalid-event' })
    expect(answer.errors).toEqual([{ pointer, message: expect.stringMatching(/./) }])
  })

  test('with data that is not JSON is refused, and the answer names the accepted form', async () => {
    const { status, answer } = await sendRaw(binary({ 'content-type': 'text/xml' }), '<a/>')
    expect({ status, code: answer.code }).toEqual({ status: 415, code: 'unsupported-media-type' })
    expect(answer.detail).toBe('This route accepts application/json, application/cloudevents+json, in UTF-8')
  })
})

describe('structured mode', () => {
  const send = (event: object, headers = {}) => post(`${pipeline.url}/v1/events`, event, { ...STRUCTURED, ...headers })
  const event = () => ({ specversion: '1.0', ...full() })

  test('accepts null for a missing attribute', async () => {
    const sent = { ...event(), subject: null, time: null, partitionkey: null }
    expect((await send(sent)).status).toBe(202)
    const { extensions, partitionkey } = await get(sent.id)
    expect(extensions).not.toHaveProperty('subject')
    expect(partitionkey).toBe(idOf(sent))
  })

  test('uses its body where headers say something as well', async () => {
    const sent = event()
    expect(await (await send(sent, { 'ce-id': 'another', 'ce-specversion': '1.0' })).json()).toMatchObject({
      id: idOf(sent),
    })
  })

  test.each<[string, object, string, RegExp]>([
    ['binary data', { data: undefined, data_base64: 'AAA=' }, '/data_base64', /not supported; send JSON in data/],
    ['data that is no JSON', { datacontenttype: 'text/plain' }, '/datacontenttype', /application\/json/],
    ['another version', { specversion: '0.3' }, '/specversion', /1\.0/],
    ['no source', { source: null }, '/source', /required/],
    ['an invalid time', { time: 'yesterday' }, '/time', /RFC 3339/],
    ['no data', { data: undefined }, '/data', /required/],
    ['null for data', { data: null }, '/data', /object/],
  ])('refuses %s', async (_, change, pointer, message) => {
    const sent = await send({ ...event(), ...change })
    expect(sent.status).toBe(400)
    expect(((await sent.json()) as Answer).errors).toEqual([{ pointer, message: expect.stringMatching(message) }])
  })

  test('is for single events, and the batch format for batches', async () => {
    const single = await post(`${pipeline.url}/v1/events/batch`, event(), STRUCTURED)
    const batch = await send([event()], { 'content-type': 'application/cloudevents-batch+json' })
    for (const { status } of [single, batch]) expect(status).toBe(415)
  })

  test('in a batch, each is answered separately', async () => {
    const batch = [event(), { ...event(), data_base64: 'AAA=' }, null, { ...event(), specversion: undefined }]
    const sent = await post(`${pipeline.url}/v1/events/batch`, batch, {
      'content-type': 'application/cloudevents-batch+json',
    })
    const { items, ...counts } = (await sent.json()) as Answer
    expect(counts).toEqual({ accepted: 1, duplicate: 0, rejected: 3 })
    expect(items.map((item: Answer) => item.error?.errors[0].pointer)).toEqual([
      undefined,
      '/data_base64',
      '',
      '/specversion',
    ])
  })
})
