/** Ingest, with valid events: the answers, and the stored rows. */
import { randomUUID } from 'node:crypto'
import { partitionOf, unpackEntry, uuidOf } from '@eventflow/core'
import { insertRawEvents } from '@eventflow/db'
import { streamKey } from '@eventflow/redis'
import { newEvent, post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([])
})

afterAll(() => pipeline.stop())

const event = <Given extends object>(data: object, given = {} as Given) => ({ type: 'note.taken', data, ...given })
const send = (body: unknown, headers?: Record<string, string>) => post(`${pipeline.url}/v1/events`, body, headers)
const sendBatch = (body: unknown, headers?: Record<string, string>) =>
  post(`${pipeline.url}/v1/events/batch`, body, headers)
// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
const json = (response: Response) => response.json() as Promise<any>
const rowsOf = async (...ids: string[]) =>
  (await pipeline.db.query('SELECT * FROM raw_events WHERE event_id = ANY($1::uuid[]) ORDER BY seq', [ids])).rows
/** The events in the stream of a partition, in order. */
const publishedTo = async (partition: number) =>
  (await pipeline.redis.xrange(streamKey(pipeline.prefix, partition), '-', '+')).flatMap(([, [, text]]) =>
    unpackEntry(pipeline.seal.open(streamKey(pipeline.prefix, partition), text!)!).map((event) => JSON.parse(event)),
  )

describe('an event', () => {
  test('is answered with 202 and its address, and by then is a row and an entry', async () => {
    const sent = await send(event({ text: 'hello' }, { partitionkey: 'first', time: '2001-01-01T00:47:00+01:00' }))
    expect(sent.status).toBe(202)
    const { id, ...answer } = await json(sent)
    expect(answer).toEqual({ status: 'accepted', duplicate: false })
    expect(sent.headers.get('location')).toBe(`/v1/events/${id}`)
    const [row] = await rowsOf(id)
    expect(row).toMatchObject({
      tenant_id: 'default',
      type: 'note.taken',
      source: '/',
      key: 'first',
      occurred_at: new Date('2000-12-31T23:47:00Z'),
      correlation_id: id,
      payload: { text: 'hello' },
    })
    expect(await publishedTo(row.partition)).toMatchObject([
      { id, seq: row.seq, key: 'first', data: { text: 'hello' } },
    ])
    expect(await json(await fetch(`${pipeline.url}/v1/events/${id}`))).toMatchObject({ id, status: 'accepted' })
  })

  test('keeps its time to the microsecond, in the tables, the stream and every answer', async () => {
    const time = '2001-01-01T00:47:00.123456Z'
    const { id } = await json(await send(event({}, { time, partitionkey: 'timed' })))
    const [{ partition }] = await rowsOf(id)
    expect((await publishedTo(partition)).find((entry) => entry.id === id)).toMatchObject({ occurredAt: time })
    const { rows } = await pipeline.db.query('SELECT occurred_at = $1 AS same FROM events WHERE event_id = $2', [
      time,
      id,
    ])
    expect(rows).toEqual([{ same: true }])
    expect(await json(await fetch(`${pipeline.url}/v1/events/${id}`))).toMatchObject({ time })
    expect((await json(await fetch(`${pipeline.url}/v1/events?id=${id}`))).items).toMatchObject([{ time }])
  })

  test('without a key is its own key', async () => {
    const { id } = await json(await send(event({})))
    expect(await rowsOf(id)).toMatchObject([{ key: id }])
  })

  test('keeps the correlation id and the trace of its request, or its own', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const headers = { 'x-correlation-id': 'checkout-7', traceparent }
    const sent = await send(event({}), headers)
    expect(sent.headers.get('x-correlation-id')).toBe('checkout-7')
    expect(await rowsOf((await json(sent)).id)).toMatchObject([{ correlation_id: 'checkout-7', traceparent }])

    const own = { correlationid: 'own', causationid: 'why', traceparent: traceparent.replace('00-0a', '00-0b') }
    const { id } = await json(await send(event({}, own), headers))
    expect(await rowsOf(id)).toMatchObject([
      { correlation_id: 'own', causation_id: 'why', traceparent: own.traceparent },
    ])
  })

  test('keeps a correlation id of several words', async () => {
    const sent = await send(event({}), { 'x-correlation-id': 'two words' })
    expect(sent.headers.get('x-correlation-id')).toBe('two words')
    expect(await rowsOf((await json(sent)).id)).toMatchObject([{ correlation_id: 'two words' }])
    const own = await send(event({}, { correlationid: 'three more words' }))
    expect(own.headers.get('x-correlation-id')).toBe('three more words')
  })

  test.each(['x'.repeat(201), 'caf\xe9', 'a\tb'])(
    'is refused with the correlation id %j, which is named',
    async (value) => {
      const answer = await send(event({}), { 'x-correlation-id': value })
      const detail = 'X-Correlation-ID must be 1 to 200 characters of printable ASCII'
      expect(await json(answer)).toMatchObject({ status: 400, code: 'invalid-query', detail })
    },
  )

  test.each([
    '00-nonsense',
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`,
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  ])('is accepted with the traceparent %s, as without one', async (traceparent) => {
    const { id } = await json(await send(event({}), { traceparent }))
    expect(await rowsOf(id)).toMatchObject([{ correlation_id: id, traceparent: null }])
  })

  test('keeps a subject and a dataschema of 1,000 characters', async () => {
    const extensions = { subject: 's'.repeat(1_000), dataschema: `https://example.org/${'d'.repeat(980)}` }
    const { id } = await json(await send(event({}, extensions)))
    expect(await rowsOf(id)).toMatchObject([{ extensions }])
  })

  test('whose id is not a UUID gets one derived from it, and is found by both', async () => {
    const named = event({ n: 1 }, { id: 'order 17/α', source: '/shop' })
    const { id } = await json(await send(named))
    expect(id).toBe(uuidOf('default', '/shop', 'order 17/α'))
    expect(await json(await send(named))).toEqual({ id, status: 'accepted', duplicate: true })
    const other = await json(await send({ ...named, source: '/another shop' }))
    expect(other).toMatchObject({ duplicate: false })
    expect(other.id).not.toBe(id)

    const get = (path: string) => fetch(`${pipeline.url}/v1/events/${path}`).then(json)
    expect(await get(`${encodeURIComponent('order 17/α')}?source=/shop`)).toMatchObject({
      id,
      external_id: 'order 17/α',
      source: '/shop',
    })
    expect(await get(id)).toMatchObject({ external_id: 'order 17/α' })
    expect(await get(encodeURIComponent('order 17/α'))).toMatchObject({ code: 'event-not-found' })
  })

  test.each(['x', '€', '🛫'])('may have an id of 200 characters such as %s', async (character) => {
    const id = character.repeat(200)
    const sent = await json(await send(event({}, { id })))
    expect(await json(await fetch(`${pipeline.url}/v1/events/${encodeURIComponent(id)}`))).toMatchObject({
      id: sent.id,
      external_id: id,
    })
  })

  test('whose id is a UUID is found by it in any case, and sent again in any case is a duplicate', async () => {
    const id = randomUUID()
    expect(await json(await send(event({}, { id: id.toUpperCase() })))).toMatchObject({ id, duplicate: false })
    expect(await json(await send(event({}, { id })))).toMatchObject({ id, duplicate: true })
    expect(await json(await fetch(`${pipeline.url}/v1/events/${id.toUpperCase()}`))).toMatchObject({ id })
  })

  test('keeps the values of its data exactly', async () => {
    const data = {
      none: null,
      empty: '',
      yes: true,
      text: 'true',
      one: '1',
      n: -1.5e-7,
      big: 2 ** 53 - 1,
      list: [[], {}],
    }
    const { id } = await json(await send(event(data)))
    expect((await rowsOf(id))[0].payload).toEqual(data)
    expect((await json(await fetch(`${pipeline.url}/v1/events/${id}`))).data).toEqual(data)
  })
})

describe('the same id again', () => {
  test('with the same data is a duplicate, in any order of its fields', async () => {
    const id = randomUUID()
    const first = `{"type":"note.taken","id":"${id}","data":{"a":1,"b":{"c":[1,2],"d":null}}}`
    const again = `{ "data": {"b": {"d": null, "c": [1, 2]}, "a": 1.0}, "id": "${id}", "type": "note.taken" }`
    expect(await json(await send(first))).toEqual({ id, status: 'accepted', duplicate: false })
    for (const body of [first, again]) {
      const sent = await send(body)
      expect(sent.status).toBe(202)
      expect(await json(sent)).toEqual({ id, status: 'accepted', duplicate: true })
    }
    expect(await rowsOf(id)).toHaveLength(1)
  })

  test.each([
    ['other data', { data: { list: [1, 3] } }],
    ['a field more', { data: { list: [1, 2], more: null } }],
    ['a list in another order', { data: { list: [2, 1] } }],
    ['another type', { type: 'note.lost' }],
  ])('with %s is a conflict, and the first stays', async (_, change) => {
    const first = event({ list: [1, 2] }, { id: randomUUID() })
    await send(first)
    const sent = await send({ ...first, ...change })
    expect(sent.status).toBe(409)
    expect(sent.headers.get('content-type')).toMatch('application/problem+json')
    const problem = { code: 'event-conflict', status: 409, detail: expect.stringContaining(first.id) }
    expect(await json(sent)).toMatchObject(problem)
    expect(await rowsOf(first.id)).toMatchObject([{ type: 'note.taken', payload: first.data }])
  })

  test('a hundred times at once is stored once, and one answer says accepted', async () => {
    const same = event({ text: 'once' }, { id: randomUUID() })
    const sent = await Promise.all(Array.from({ length: 100 }, () => send(same)))
    expect(new Set(sent.map(({ status }) => status))).toEqual(new Set([202]))
    const answers = await Promise.all(sent.map(json))
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    expect(await rowsOf(same.id)).toHaveLength(1)
  })

  test('with other data a hundred times at once: one is accepted, all others conflict', async () => {
    const id = randomUUID()
    const sent = await Promise.all(Array.from({ length: 100 }, (_, n) => send(event({ n }, { id }))))
    const accepted = sent.flatMap(({ status }, n) => (status === 202 ? [n] : []))
    expect(accepted).toHaveLength(1)
    expect(sent.filter(({ status }) => status === 409)).toHaveLength(99)
    expect(await rowsOf(id)).toMatchObject([{ payload: { n: accepted[0] } }])
  })
})

describe('an Idempotency-Key', () => {
  const withKey = (key: string, body: object) => send(body, { 'idempotency-key': key })

  test('gives an event without an id the same one each time', async () => {
    const key = randomUUID()
    const first = await withKey(`"${key}"`, event({ n: 1 }))
    const { id } = await json(first)
    for (const again of [key, `"${key}"`]) {
      const sent = await withKey(again, event({ n: 1 }))
      expect(sent.status).toBe(202)
      expect(sent.headers.get('location')).toBe(first.headers.get('location'))
      expect(await json(sent)).toEqual({ id, status: 'accepted', duplicate: true })
    }
    expect(await rowsOf(id)).toMatchObject([{ external_id: null, payload: { n: 1 } }])
  })

  test('with another event is refused, and the first stays', async () => {
    const key = randomUUID()
    const { id } = await json(await withKey(key, event({ n: 1 })))
    const sent = await withKey(key, event({ n: 2 }))
    expect(sent.status).toBe(422)
    expect(sent.headers.get('content-type')).toMatch('application/problem+json')
    expect(await json(sent)).toMatchObject({ type: 'urn:eventflow:problem:idempotency-key-reused', status: 422 })
    expect(await rowsOf(id)).toMatchObject([{ payload: { n: 1 } }])
  })

  test('fifty times at once stores one event', async () => {
    const key = randomUUID()
    const sent = await Promise.all(Array.from({ length: 50 }, () => withKey(key, event({ n: 1 }))))
    const answers = await Promise.all(sent.map(json))
    expect(answers.filter(({ duplicate }) => duplicate === false)).toHaveLength(1)
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
  })

  test('does not matter for an event that has an id', async () => {
    const key = randomUUID()
    for (const id of [randomUUID(), randomUUID()]) {
      expect(await json(await withKey(key, event({ n: id }, { id })))).toMatchObject({ id, duplicate: false })
    }
  })

  test('covers every place of a batch', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const own = randomUUID()
    const batch = [event({ n: 1 }), event({ n: 1 }), event({ n: 1 }, { id: own })]
    const { items } = await json(await sendBatch(batch, headers))
    expect(new Set(items.map(({ id }: { id: string }) => id)).size).toBe(3)
    expect(items[2].id).toBe(own)
    const again = await json(
      await sendBatch([...batch.slice(0, 1), event({ n: 2 }), batch[2], event({ n: 4 })], headers),
    )
    expect(again.items).toMatchObject([
      { id: items[0].id, status: 'duplicate' },
      { id: items[1].id, status: 'rejected', error: { code: 'idempotency-key-reused', status: 422 }, retryable: false },
      { id: own, status: 'duplicate' },
      { status: 'accepted' },
    ])
    const { id } = await json(await withKey(headers['idempotency-key'], event({ n: 1 })))
    expect(items.map((item: { id: string }) => item.id)).not.toContain(id)
  })

  test.each(['""', 'two words', 'a, b', '"open', '"a" "b"', 'x'.repeat(201), 'caf\xe9'])(
    '%j is refused',
    async (key) => {
      const sent = await withKey(key, event({}))
      expect(sent.status).toBe(400)
      expect(await json(sent)).toMatchObject({
        code: 'invalid-query',
        detail: expect.stringMatching('Idempotency-Key'),
      })
    },
  )
})

describe('a batch', () => {
  test('has an answer for each of its events, in order', async () => {
    const [known, taken, twice, differing] = Array.from({ length: 4 }, () => randomUUID())
    await pipeline.send([event({ n: 1 }, { id: known }), event({ n: 1 }, { id: taken })])
    const answer = await pipeline.send([
      event({ n: 0 }),
      { type: 'note.taken' },
      event({ n: 1 }, { id: known }),
      event({ n: 2 }, { id: taken }),
      event({ n: 4 }, { id: twice }),
      event({ n: 4 }, { id: twice }),
      event({ n: 6 }, { id: differing }),
      event({ n: 7 }, { id: differing }),
      ['no event at all'],
      event({ n: 9 }),
    ])
    expect(answer.items.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(answer.items.map(({ status, error }) => error?.code ?? status)).toEqual([
      'accepted',
      'invalid-event',
      'duplicate',
      'event-conflict',
      'accepted',
      'duplicate',
      'accepted',
      'event-conflict',
      'invalid-event',
      'accepted',
    ])
    expect(answer).toMatchObject({ accepted: 4, duplicate: 2, rejected: 4 })
    expect(answer.items[1]).toMatchObject({
      id: null,
      retryable: false,
      error: { status: 400, errors: [{ pointer: '/data' }] },
    })
    expect(answer.items[3]).toMatchObject({ id: taken, retryable: false, error: { status: 409 } })
    const stored = await rowsOf(...answer.items.flatMap(({ id }) => id ?? []))
    expect(stored.map(({ payload }) => payload.n)).toEqual([1, 1, 0, 4, 6, 9])
  })

  test('may be empty', async () => {
    expect(await pipeline.send([])).toEqual({ accepted: 0, duplicate: 0, rejected: 0, items: [] })
  })

  test('may be NDJSON, and a broken line does not affect the others', async () => {
    const lines = [event({ n: 0 }), '{"type": "note.taken", "data"', event({ n: 2 }), '[]', '"\\ud800"', '']
    const body = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\r\n')
    const sent = await sendBatch(`\n${body}\n\n`, { 'content-type': 'application/x-ndjson; charset=utf-8' })
    expect(sent.status).toBe(200)
    const { items, ...counts } = await json(sent)
    expect(counts).toEqual({ accepted: 2, duplicate: 0, rejected: 3 })
    expect(items.map(({ status }: { status: string }) => status)).toEqual([
      'accepted',
      'rejected',
      'accepted',
      'rejected',
      'rejected',
    ])
    expect(items[1].error).toMatchObject({ code: 'invalid-event', detail: expect.stringContaining('JSON') })
    expect((await rowsOf(items[0].id, items[2].id)).map(({ payload }) => payload.n)).toEqual([0, 2])
  })

  test('keeps its order, in seq and in the streams', async () => {
    const keys = ['red', 'green', 'blue']
    const events = Array.from({ length: 900 }, (_, n) => event({ n }, { partitionkey: keys[n % 3] }))
    const { items } = await pipeline.send(events)
    const stored = await rowsOf(...items.map(({ id }) => id!))
    expect(stored.map(({ payload }) => payload.n)).toEqual(events.map((_, n) => n))
    for (const [k, key] of keys.entries()) {
      const { partition } = stored[k]
      const ofKey = (await publishedTo(partition)).filter((entry) => entry.key === key)
      expect(ofKey.map(({ data }) => data.n)).toEqual(Array.from({ length: 300 }, (_, n) => 3 * n + k))
    }
  })

  test('republishes an event that may be missing from its stream, before the later ones of its key', async () => {
    const partition = partitionOf('default', 'missed', pipeline.partitions)
    const stored = newEvent({ type: 'note.taken', source: '/', key: 'missed', partition, payload: '{"n":0}' })
    await insertRawEvents(pipeline.db, [stored])
    const answer = await pipeline.send([
      event({ n: 0 }, { id: stored.id, partitionkey: 'missed' }),
      event({ n: 1 }, { partitionkey: 'missed' }),
    ])
    expect(answer).toMatchObject({ accepted: 1, duplicate: 1 })
    const entries = (await publishedTo(partition)).filter(({ key }) => key === 'missed')
    expect(entries.map(({ data }) => data.n)).toEqual([0, 1])
  })
})

test('an id whose event was removed is a duplicate as long as it is known, with any contents', async () => {
  const { id } = await json(await send(event({ n: 1 })))
  await pipeline.db.query('DELETE FROM raw_events WHERE event_id = $1', [id])
  for (const data of [{ n: 1 }, { n: 2 }]) {
    const answer = await send(event(data, { id }))
    expect([answer.status, await json(answer)]).toEqual([202, { id, status: 'accepted', duplicate: true }])
  }
  expect(await rowsOf(id)).toEqual([])
})

test('an id that is forgotten while it is sent again is a new event: every accepted event is stored', async () => {
  const { id } = await json(await send(event({ n: 1 })))
  const retention = await pipeline.db.connect()
  // Lets the INSERT pass, which finds the id taken, and holds up the query for the stored event.
  await retention.query('BEGIN; LOCK TABLE retries IN ACCESS EXCLUSIVE MODE')
  const again = send(event({ n: 2 }, { id }))
  await until('the look for the stored event waits', async () => {
    const { rows } = await pipeline.db.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%AS wanted%'`,
    )
    return rows.length > 0
  })
  for (const table of ['raw_events', 'event_ids'])
    await retention.query(`DELETE FROM ${table} WHERE event_id = $1`, [id])
  await retention.query('COMMIT')
  retention.release()
  const answer = await again
  expect([answer.status, await json(answer)]).toEqual([202, { id, status: 'accepted', duplicate: false }])
  expect(await rowsOf(id)).toMatchObject([{ payload: { n: 2 } }])
})
