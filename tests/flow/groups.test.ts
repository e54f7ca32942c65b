/** Consumer groups: exactly once, in the order of each key, independent of each other. */
import { type AcceptedEvent, defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

const counted = defineEvent({ type: 'counted', schema: Type.Object({ n: Type.Integer() }) })
const other = defineEvent({ type: 'other', schema: Type.Object({}) })
type Counted = AcceptedEvent<{ n: number }>

let pipeline: TestPipeline | undefined

afterEach(async () => {
  await pipeline?.stop()
  pipeline = undefined
})

const table = (name: string) => `CREATE TABLE IF NOT EXISTS ${name} (n integer, key text, at bigserial)`
const insert = (name: string) => `INSERT INTO ${name} (n, key) VALUES ($1, $2)`

async function rows(name: string): Promise<{ n: number; key: string }[]> {
  return (await pipeline!.db.query(`SELECT n, key FROM ${name} ORDER BY at`)).rows
}

const events = (count: number, keys = 5) =>
  Array.from({ length: count }, (_, n) => ({ type: 'counted', partitionkey: `k${n % keys}`, data: { n } }))

async function untilRows(name: string, count: number) {
  await until(`${name} has ${count} rows`, async () => (await rows(name)).length >= count)
  return rows(name)
}

test('each group handles each event of its types once, in the order of its key', async () => {
  const groups = ['first', 'second'].map((name) =>
    defineConsumer<{ n: number }>({
      name,
      events: ['counted'],
      from: 'earliest',
      prepare: async (tx) => void (await tx.query(table(`by_${name}`))),
      handle: async ({ data, key }, tx) => void (await tx.query(insert(`by_${name}`), [data.n, key])),
    }),
  )
  pipeline = await startPipeline([counted, other], {}, groups)
  await pipeline.startWorker()
  await pipeline.startWorker()
  await pipeline.send([...events(300), { type: 'other', data: {} }])
  await pipeline.send(events(300).map((event) => ({ ...event, data: { n: event.data.n + 300 } })))
  for (const name of ['by_first', 'by_second']) {
    const handled = await untilRows(name, 600)
    expect(handled).toHaveLength(600)
    expect(new Set(handled.map(({ n }) => n)).size).toBe(600)
    for (const key of ['k0', 'k1', 'k2', 'k3', 'k4']) {
      const order = handled.filter((row) => row.key === key).map(({ n }) => n)
      expect(order).toEqual(order.toSorted((a, b) => a - b))
    }
  }
})

test('an event that fails is parked with the later ones of its key; other keys go on', async () => {
  let failures = 2
  const group = defineConsumer<{ n: number }>({
    name: 'failing',
    events: ['counted'],
    from: 'earliest',
    retry: { attempts: 4, baseDelayMs: 50, maxDelayMs: 50 },
    prepare: async (tx) => void (await tx.query(table('handled'))),
    handle: async ({ data, key }: Counted, tx) => {
      if (data.n === 1 && failures-- > 0) throw new Error('not yet')
      await tx.query(insert('handled'), [data.n, key])
    },
  })
  pipeline = await startPipeline([counted], {}, [group])
  await pipeline.startWorker()
  await pipeline.send(events(30, 3))
  const handled = await untilRows('handled', 30)
  expect(handled).toHaveLength(30)
  for (const key of ['k0', 'k1', 'k2']) {
    const order = handled.filter((row) => row.key === key).map(({ n }) => n)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
  }
  expect((await pipeline.db.query('SELECT count(*) FROM group_parked')).rows).toEqual([{ count: 0 }])
})

test('an event that cannot be handled becomes a dead letter of the group, and the others go on', async () => {
  const group = defineConsumer<{ n: number }>({
    name: 'poisoned',
    events: ['counted'],
    from: 'earliest',
    retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 1 },
    prepare: async (tx) => void (await tx.query(table('handled'))),
    handle: async ({ data, key }: Counted, tx) => {
      if (data.n === 4) throw new TypeError('never')
      await tx.query(insert('handled'), [data.n, key])
    },
  })
  pipeline = await startPipeline([counted], {}, [group])
  await pipeline.startWorker()
  await pipeline.send(events(7, 1))
  expect((await untilRows('handled', 6)).map(({ n }) => n)).toEqual([0, 1, 2, 3, 5, 6])
  const { rows: dead } = await pipeline.db.query('SELECT type, error_class, attempts, status FROM group_dead_letters')
  expect(dead).toEqual([{ type: 'counted', error_class: 'TypeError', attempts: 2, status: 'open' }])
  expect((await pipeline.db.query('SELECT count(*) FROM failed_events')).rows).toEqual([{ count: 0 }])
})

test('what a handler emits is accepted with its transaction, once, with its cause', async () => {
  const group = defineConsumer<{ n: number }>({
    name: 'emitting',
    events: ['counted'],
    from: 'earliest',
    handle: async ({ data }, tx) => {
      if (data.n < 3) await tx.emit({ type: 'counted', data: { n: data.n + 1 } })
    },
  })
  pipeline = await startPipeline([counted], {}, [group])
  await pipeline.startWorker()
  await pipeline.send([{ type: 'counted', partitionkey: 'a', data: { n: 0 } }])
  await until('four events are processed', async () => {
    const { rows } = await pipeline!.db.query('SELECT count(*) FROM processed_events')
    return rows[0].count === 4
  })
  const { rows: accepted } = await pipeline.db.query(`
    SELECT payload->'n' AS n, hops, key, source, causation_id = lag(event_id::text) OVER (ORDER BY seq) AS caused
    FROM raw_events ORDER BY seq`)
  expect(accepted).toMatchObject([
    { n: 0, hops: 0, key: 'a', caused: null },
    { n: 1, hops: 1, key: 'a', source: '/groups/emitting', caused: true },
    { n: 2, hops: 2, caused: true },
    { n: 3, hops: 3, caused: true },
  ])
})
