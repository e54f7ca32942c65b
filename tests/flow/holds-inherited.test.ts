/** A worker whose connections broke while a release was being committed knows, when it begins again, that nothing is held. */
import { partitionOf } from '@eventflow/core'
import { connect, type Db } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  createDatabase,
  type Link,
  openLink,
  startPipeline,
  type TestPipeline,
  until,
  whileCommitsHang,
  withPort,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let failing = true
let pipeline: TestPipeline
let link: Link
/** Not through the link. */
let db: Db
let url: string

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ fails: Type.Boolean() }),
  retry: { attempts: 1_000, baseDelayMs: 100, maxDelayMs: 100 },
  async handle({ data }) {
    if (data.fails && failing) throw new Error('refused')
  },
})

beforeAll(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: 'onlooker', max: 3, onIdleError: () => {} })
  link = await openLink(Number(new URL(url).port))
  pipeline = await startPipeline([step], { DATABASE_URL: withPort(url, link.port), EVENTFLOW_LANES: '1' })
})

afterAll(async () => {
  await pipeline.stop()
  await db.end()
  await link.stop()
})

const sessions = async (condition: string) =>
  (await db.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`)).rowCount!

test('an event that waits then is held, too', async () => {
  const [one, other] = Array.from({ length: 1_000 }, (_, n) => `key ${n}`).filter(
    (key) => partitionOf('default', key, pipeline.partitions) === 0,
  )
  const send = (key: string, fails: boolean, time: string) =>
    pipeline.send([{ type: 'step.done', partitionkey: key, time, data: { fails } }])
  const marks = async () => {
    const { rows } = await db.query('SELECT kind FROM log_marks WHERE partition = 0 ORDER BY position')
    return rows.map(({ kind }) => kind)
  }
  const logged = (events: number) =>
    until(`${events} events are in the log`, async () => {
      return (await db.query('SELECT FROM processed_events')).rowCount === events
    })
  const former = await pipeline.startWorker('a')
  await send(one!, true, '2026-01-01T00:00:04Z')
  await until('it waits', async () => (await db.query('SELECT FROM retries WHERE attempts > 0')).rowCount === 1)
  await send(other!, false, '2026-01-01T00:00:16Z')
  await logged(1)
  await former.stop()
  failing = false
  // This one has found the hold: it is released when all events that it may be for are known.
  await pipeline.startWorker('b')
  await logged(2)
  await whileCommitsHang({ db, url }, 'DELETE ON log_holds', async () => {
    await db.query("UPDATE raw_events SET accepted_at = accepted_at - interval '1 minute'")
    const hangs = `query LIKE 'COMMIT%' AND state = 'active' AND query_start < clock_timestamp() - interval '300 ms'`
    await until('the COMMIT hangs', async () => (await sessions(hangs)) > 0)
    failing = true
    await send(one!, true, '2026-01-01T00:00:05Z')
    await send(other!, false, '2026-01-01T00:00:17Z')
    link.reset()
    await until('it waits for that', async () => (await sessions(`wait_event_type = 'Lock'`)) > 0)
  })
  await logged(3)
  expect(await marks()).toEqual(['hold', 'release', 'hold'])
}, 60_000)
