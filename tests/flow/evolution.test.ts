/** Schema changes while events are in flight: new versions, old events, replays. */
import { createApiKey, createTenant, OPERATOR_TENANT, SCOPES } from '@eventflow/db'
import { registerDefinitions } from '@eventflow/schemas'
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const noted = defineEvent({
  type: 'note.taken',
  schema: Type.Object({ text: Type.String(), lang: Type.String({ default: 'en' }) }),
})

/** Its first version had one field for the name, the second two; the third renamed the first of them. */
const named = defineEvent({
  type: 'person.named',
  schema: Type.Object({ given: Type.String(), last: Type.String() }, { additionalProperties: false }),
  upcast: {
    1: ({ name }) => {
      const [first, last] = (name as string).split(' ')
      return { first, last }
    },
    2: ({ first, last }) => ({ given: first, last }),
  },
})

const strict = defineEvent({
  type: 'seat.booked',
  schema: Type.Object({ seat: Type.Integer({ minimum: 1 }) }),
  validateAt: 'ingest',
})

let pipeline: TestPipeline
let metrics: Awaited<ReturnType<TestPipeline['startWorker']>>['metrics']

beforeAll(async () => {
  pipeline = await startPipeline([noted, named, strict])
  metrics = (await pipeline.startWorker()).metrics
})

afterAll(() => pipeline.stop())

/** Sends an event, waits until it is settled, and returns its outcome. */
async function settled(type: string, data: object, dataschema?: string) {
  const answer = await pipeline.send([{ type, data, ...(dataschema && { dataschema }) }])
  return found(answer.items[0]!.id!)
}

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
const found = async (id: string): Promise<any> => (await fetch(`${pipeline.url}/v1/events/${id}?wait=10s`)).json()

async function register(type: string, schema: object, compatibility = 'NONE') {
  const send = (path: string, body: object) =>
    fetch(`${pipeline.url}/v1/schemas/${type}${path}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  await send('/compatibility', { compatibility })
  const response = await send('', { schema })
  expect(response.status).toBe(201)
  return ((await response.json()) as { version: number }).version
}

const countOf = async (metric: 'unknownFields' | 'missingFields', type: string) =>
  (await metrics[metric].get()).values.find(({ labels }) => labels.type === type)!.value

describe('an event', () => {
  test('gets missing defaults, and keeps unknown fields, which are counted', async () => {
    const before = await countOf('unknownFields', 'note.taken')
    const { status, data, result } = await settled('note.taken', { text: 'a', mood: 'good', pen: 2 })
    expect([status, data, result]).toEqual([
      'processed',
      { text: 'a', mood: 'good', pen: 2 },
      { text: 'a', mood: 'good', pen: 2, lang: 'en' },
    ])
    expect(await countOf('unknownFields', 'note.taken')).toBe(before + 2)
  })

  test('without a required field is a dead letter that says where, and is counted', async () => {
    const before = await countOf('missingFields', 'note.taken')
    const { status, failure } = await settled('note.taken', { mood: 'good' })
    expect([status, failure.error_class, failure.errors]).toEqual([
      'failed',
      'SchemaError',
      [{ pointer: '/text', message: "must have required property 'text'" }],
    ])
    expect(await countOf('missingFields', 'note.taken')).toBe(before + 1)
  })

  test.each([
    [1, { name: 'Ada Lovelace' }],
    [2, { first: 'Ada', last: 'Lovelace' }],
    [3, { given: 'Ada', last: 'Lovelace' }],
  ])('of version %i is upcast to the last', async (version, data) => {
    const event = await settled('person.named', data, `http://any.host/v1/schemas/person.named/versions/${version}`)
    expect([event.status, event.data, event.result]).toEqual(['processed', data, { given: 'Ada', last: 'Lovelace' }])
  })

  test('that cannot be upcast is dead-lettered at once', async () => {
    const { status, attempts, failure } = await settled('person.named', {}, '/v1/schemas/person.named/versions/1')
    expect([status, attempts, failure.component]).toEqual(['failed', 1, 'upcast'])
  })

  test('of an unknown version is dead-lettered, and passes once the version is registered', async () => {
    const address = '/v1/schemas/note.taken/versions/2'
    const { id, status, failure } = await settled('note.taken', { text: 'a', body: 'a' }, address)
    expect([status, failure.error_class]).toEqual(['failed', 'UnknownSchema'])
    expect(await register('note.taken', { type: 'object', required: ['body'] })).toBe(2)
    // The worker usually does not know the version yet, and looks it up.
    expect((await settled('note.taken', { text: 'b', body: 'b' }, address)).status).toBe('processed')
    await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: { ids: [id] } })
    await until('it is processed', async () => (await found(id)).status === 'processed')
  })

  test('with a foreign dataschema is validated against the last version', async () => {
    const { status } = await settled('person.named', { given: 'Ada', last: 'L' }, 'https://example.com/schemas/person')
    expect(status).toBe('processed')
  })
})

test('a new version reaches a running worker within seconds, and a dead letter passes with the next one', async () => {
  const named = () => settled('person.named', { given: 'Augusta', last: 'Lovelace' })
  await register('person.named', { type: 'object', properties: { given: { type: 'string', maxLength: 3 } } })
  const registeredAt = performance.now()
  const { id } = await until('the worker knows it', async () => {
    const event = await named()
    return event.status === 'failed' && event
  })
  expect(performance.now() - registeredAt).toBeLessThan(5_000)
  await register('person.named', { type: 'object' })
  await until('the worker knows that one, too', async () => (await named()).status === 'processed')
  await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: { ids: [id] } })
  await until('it is processed', async () => (await found(id)).status === 'processed')
})

test('the use of a schema is reported from the last events', async () => {
  const type = 'note.taken'
  const address = (version: number) => ({ dataschema: `https://any.host/v1/schemas/${type}/versions/${version}` })
  const usage = async () => {
    const response = await fetch(`${pipeline.url}/v1/schemas/${type}/usage`)
    // biome-ignore lint/suspicious/noExplicitAny: the answer is inspected below.
    const { looked_at, versions, fields } = (await response.json()) as any
    expect(looked_at).toBe(20_000)
    const eventsOf = (wanted: number | null) =>
      versions.find(({ version }: { version: number | null }) => version === wanted)?.events ?? 0
    const pens = fields.find(({ name }: { name: string }) => name === 'pen')?.events ?? 0
    return { none: eventsOf(null), first: eventsOf(1), ninth: eventsOf(9), pens }
  }
  const before = await usage()
  await pipeline.send([
    { type, data: { text: 'a', pen: 1 } },
    { type, data: { text: 'b', pen: 1 }, dataschema: 'https://example.com/notes' },
    { type, data: { text: 'c', pen: 1 }, ...address(9) },
    { type, data: { text: 'd' }, ...address(9) },
    { type, data: { text: 'e' }, dataschema: `/v1/schemas/${type}/versions/9` },
    { type: 'person.named', data: { pen: 1 } },
  ])
  const { none, first, ninth, pens } = before
  expect(await usage()).toEqual({ none: none + 2, first, ninth: ninth + 3, pens: pens + 1 })
})

describe('a dead letter that is replayed as a version of its schema', () => {
  /** Requests a replay, and returns the status and the body of the answer. */
  async function replayAs(version: number, filter: object, more: object = {}) {
    const response = await post(`${pipeline.url}/v1/dead-letters/replay`, { filter, schema_version: version, ...more })
    // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
    return { status: response.status, answer: (await response.json()) as any }
  }
  const processed = (id: string) =>
    until('it is processed', async () => {
      const event = await found(id)
      return event.status === 'processed' && event
    })

  test('is validated against that version, and its history, the operation and the audit log say so', async () => {
    const latest = await register('note.taken', { type: 'object', required: ['title'] })
    const { id, status } = await settled('note.taken', { text: 'a' })
    expect(status).toBe('failed')
    const { answer } = await replayAs(1, { ids: [id] }, { reason: 'sent before the change' })
    expect(answer).toMatchObject({ kind: 'replay-dead-letters', total: 1, schema_version: 1 })
    const { result, timeline } = await processed(id)
    expect(result).toEqual({ text: 'a', lang: 'en' })
    expect(timeline[2]).toMatchObject({
      what: 'replayed',
      detail: 'requested by anonymous, as version 1: sent before the change',
    })
    const { rows } = await pipeline.db.query('SELECT subject FROM audit_log WHERE operation_id = $1', [answer.id])
    expect(rows).toEqual([{ subject: 'as schema version 1' }])

    // The other way round: an event that names an old version is read as a new one.
    const old = await settled('note.taken', { text: 'b', title: 'b' }, '/v1/schemas/note.taken/versions/2')
    expect(old.failure.message).toBe("/body must have required property 'body', by version 2 of the schema")
    await replayAs(latest, { ids: [old.id] })
    expect((await processed(old.id)).result).toEqual({ text: 'b', title: 'b', lang: 'en' })
  })

  test('is upcast from there', async () => {
    const { id, status } = await settled('person.named', { name: 'Ada Lovelace' })
    expect(status).toBe('failed')
    await replayAs(1, { ids: [id] })
    expect((await processed(id)).result).toEqual({ given: 'Ada', last: 'Lovelace' })
  })

  test('but not if there is no such version of one of the matching types', async () => {
    const { id } = await settled('person.named', {})
    const operations = async () => (await pipeline.db.query('SELECT count(*) FROM operations')).rows
    const before = await operations()
    const message = 'the schema of the type person.named has no version 99'
    const refused = { status: 404, code: 'schema-not-found', errors: [{ pointer: '/schema_version', message }] }
    expect((await replayAs(99, { ids: [id] })).answer).toMatchObject(refused)
    expect((await replayAs(99, { ids: [id] }, { dry_run: true })).answer).toMatchObject(refused)
    expect((await replayAs(99, { type: 'person.named', key: 'unknown' })).answer).toMatchObject(refused)
    expect((await replayAs(0, { ids: [id] })).status).toBe(400)
    expect(await operations()).toEqual(before)
    expect((await found(id)).status).toBe('failed')
  })

  test('keeps that version through further attempts, and with the next worker', async () => {
    let away = true
    const weighed = defineEvent({
      type: 'parcel.weighed',
      schema: Type.Object({ grams: Type.Integer() }),
      retry: { attempts: 3, baseDelayMs: 600_000, maxDelayMs: 600_000 },
      handle: async () => {
        if (away) throw new Error('the scales are away')
      },
    })
    const later = await startPipeline([weighed])
    try {
      const send = (path: string, method: string, body: object) =>
        fetch(`${later.url}/v1${path}`, {
          method,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      await send('/schemas/parcel.weighed/compatibility', 'PUT', { compatibility: 'NONE' })
      // On a busy machine its examination may take longer than it may.
      await until('the schema is registered', async () => {
        const schema = { type: 'object', required: ['kilograms'] }
        return (await send('/schemas/parcel.weighed', 'PUT', { schema })).ok
      })
      const first = await later.startWorker('first')
      await later.send([{ type: 'parcel.weighed', data: { grams: 700 } }])
      await later.drained()
      await send('/dead-letters/replay', 'POST', { filter: {}, schema_version: 1 })
      await until('it has failed once more, in the handler', async () => {
        const { rows } = await later.db.query('SELECT attempts, schema_version FROM retries')
        return rows[0]?.attempts === 1 && rows[0].schema_version === 1
      })
      await first.stop()
      away = false
      await later.db.query('UPDATE retries SET due_at = now()')
      await later.startWorker('second')
      await later.drained()
      const { rows } = await later.db.query('SELECT payload, attempts FROM processed_events')
      expect(rows).toEqual([{ payload: { grams: 700 }, attempts: 2 }])
    } finally {
      await later.stop()
    }
  })
})

test('a processed event replayed as a version of its schema has the result of that version, if it exists', async () => {
  const lang = { type: 'string', default: 'de' }
  const version = await register('note.taken', { type: 'object', properties: { lang } })
  const { id, result } = await settled('note.taken', { text: 'a' }, `/v1/schemas/note.taken/versions/${version}`)
  expect(result).toEqual({ text: 'a', lang: 'de' })
  const replayAs = async (wanted: number) => {
    const order = { target: 'processed', filter: { ids: [id] }, schema_version: wanted }
    return (await post(`${pipeline.url}/v1/events/replay`, order)).json()
  }
  const message = 'the schema of the type note.taken has no version 99'
  expect(await replayAs(99)).toMatchObject({ status: 404, errors: [{ pointer: '/schema_version', message }] })
  expect(await replayAs(1)).toMatchObject({ kind: 'replay-processed', total: 1, schema_version: 1 })
  const again = await until('it is processed again', async () => {
    const event = await found(id)
    return event.timeline.length === 3 && event
  })
  expect([again.status, again.result]).toEqual(['processed', { text: 'a', lang: 'en' }])
  expect(again.timeline[1].detail).toMatch(/^requested by anonymous, as version 1; it was processed at /)
})

describe('a type that is validated at ingest', () => {
  test('refuses invalid data, and stores nothing', async () => {
    const response = await post(`${pipeline.url}/v1/events`, { type: 'seat.booked', data: { seat: 0 } })
    expect(response.status).toBe(422)
    expect(await response.json()).toMatchObject({
      code: 'data-invalid',
      errors: [{ pointer: '/data/seat', message: 'must be >= 1' }],
    })
    const { rows } = await pipeline.db.query(`SELECT FROM raw_events WHERE type = 'seat.booked'`)
    expect(rows).toEqual([])
  })

  test('refuses it in a batch too, and accepts its neighbours', async () => {
    const { items } = await pipeline.send([
      { type: 'seat.booked', data: { seat: 1 } },
      { type: 'seat.booked', data: { seat: 'x' } },
      { type: 'seat.booked', data: { seat: 1 }, dataschema: '/v1/schemas/seat.booked/versions/9' },
      { type: 'note.taken', data: {} },
    ])
    expect(items.map(({ status, error }) => error?.code ?? status)).toEqual([
      'accepted',
      'data-invalid',
      'data-invalid',
      'accepted',
    ])
  })
})

describe('definitions', () => {
  const registered = (definition: Parameters<typeof defineEvent>[0]) =>
    registerDefinitions(pipeline.db, OPERATOR_TENANT, [defineEvent(definition)])
  const open = (n: object) => Type.Unsafe({ type: 'object', properties: { n } })

  test('register their schemas once, however many start at once', async () => {
    const types = Array.from({ length: 10 }, (_, n) => `same.${n}`)
    const definitions = types.map((type) => defineEvent({ type, schema: open({ type: 'integer' }) }))
    const start = () => registerDefinitions(pipeline.db, OPERATOR_TENANT, definitions)
    const all = await Promise.all(Array.from({ length: 8 }, start))
    expect(all).toEqual(all.map(() => new Map(types.map((type) => [type, 1]))))
    const { rows } = await pipeline.db.query(`SELECT version, origin FROM event_schemas WHERE type ~ 'same'`)
    expect(rows).toEqual(types.map(() => ({ version: 1, origin: 'code' })))
  })

  test('that are incompatible are refused, with the type, the path and the remedy, unless an upcaster bridges it', async () => {
    const type = 'changing'
    const next = { type, schema: open({ type: 'string' }) }
    await registered({ type, schema: open({ type: 'integer' }) })
    await expect(registered(next)).rejects.toThrow(
      "event type 'changing': its schema is not BACKWARD compatible with the registered version 1: " +
        "/properties/n TYPE_CHANGED. Change it, or give the definition an upcaster from version 1, or compatibility: 'NONE'",
    )
    await expect(registered({ ...next, upcast: { 1: ({ n }) => ({ n: `${n}` }) } })).resolves.toEqual(
      new Map([[type, 2]]),
    )
    await expect(registered({ ...next, upcast: { 1: (n) => n, 2: (n) => n } })).rejects.toThrow(
      'its upcasters end at version 3, but its schema is version 2',
    )
    await expect(registered({ type, schema: open({ type: 'boolean' }), compatibility: 'NONE' })).resolves.toEqual(
      new Map([[type, 3]]),
    )
  })
})

describe('another tenant', () => {
  let key: string

  beforeAll(async () => {
    await createTenant(pipeline.db, 'acme', 'test')
    key = (await createApiKey(pipeline.db, { tenantId: 'acme', name: 'test', scopes: [...SCOPES] }, 'test')).key
  })

  async function ask(method: string, path: string, body?: object) {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
    const response = await fetch(`${pipeline.url}${path}`, init)
    // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
    return { status: response.status, body: (await response.json()) as any }
  }

  /** The outcome of an event that names its version. */
  async function outcomeOf(type: string, data: object, version: number) {
    const sent = { type, data, dataschema: `/v1/schemas/${type}/versions/${version}` }
    const { id } = (await ask('POST', '/v1/events', sent)).body
    const { status, failure } = (await ask('GET', `/v1/events/${id}?wait=10s`)).body
    return failure?.error_class ?? status
  }

  const fields = (...names: string[]) => ({
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
    required: names,
    additionalProperties: false,
  })

  test('has the versions of the definitions, and of no other tenant', async () => {
    await register('note.taken', { type: 'object' })
    const { versions } = (await ask('GET', '/v1/schemas/note.taken')).body
    expect(versions).toMatchObject([{ version: 1, origin: 'code' }])
    const listed = (await ask('GET', '/v1/schemas')).body.items
    expect(listed).toContainEqual(expect.objectContaining({ type: 'note.taken', latest: 1, versions: 1 }))
    expect((await ask('GET', '/v1/schemas/note.taken/versions/2')).status).toBe(404)

    expect(await outcomeOf('note.taken', { text: 'a' }, 1)).toBe('processed')
    expect(await outcomeOf('note.taken', {}, 1)).toBe('SchemaError')
    expect(await outcomeOf('note.taken', { text: 'a' }, 2)).toBe('UnknownSchema')
    expect(await outcomeOf('person.named', { name: 'Ada Lovelace' }, 1)).toBe('processed')
  })

  test('continues from them with its own versions, which do not count for other tenants', async () => {
    const schema = fields('text', 'title')
    const refused = await ask('PUT', '/v1/schemas/note.taken', { schema })
    expect(refused.body).toMatchObject({ code: 'schema-incompatible', status: 409 })
    await ask('PUT', '/v1/schemas/note.taken/compatibility', { compatibility: 'NONE' })
    const { body } = await ask('PUT', '/v1/schemas/note.taken', { schema })
    expect(body).toEqual({ type: 'note.taken', version: 2 })
    expect(await outcomeOf('note.taken', { text: 'a', title: 'b' }, 2)).toBe('processed')
    expect(await outcomeOf('note.taken', { text: 'a' }, 2)).toBe('SchemaError')
    expect(await outcomeOf('note.taken', { text: 'a' }, 1)).toBe('processed')
    const elsewhere = await (await fetch(`${pipeline.url}/v1/schemas/note.taken`)).json()
    expect(elsewhere).not.toMatchObject({ latest: { schema } })
  })
})
