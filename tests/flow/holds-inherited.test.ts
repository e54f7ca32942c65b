/** A worker whose connections broke while a hold was being committed: it finds the hold, and ends it once. */
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
  await pipeline.startWorker()
  await until('its streams are in use', async () => {
    return (await db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')).rowCount === 0
  })
})

afterAll(async () => {
  await pipeline.stop()
  await db.end()
  await link.stop()
})

const sessions = async (condition: string) =>
  (await db.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`)).rowCount!

test('the hold is written once, and released once', async () => {
  const [one, other] = Array.from({ length: 1_000 }, (_, n) => `key ${n}`).filter(
    (key) => partitionOf('default', key, pipeline.partitions) === 0,
  )
  const send = (key: string, fails: boolean) =>
    pipeline.send([{ type: 'step.done', partitionkey: key, data: { fails } }])
  const marks = async () => {
    const { rows } = await db.query('SELECT kind FROM log_marks WHERE partition = 0 ORDER BY position')
    return rows.map(({ kind }) => kind)
  }
  await send(one!, true)
  await until('it waits', async () => (await db.query('SELECT FROM retries WHERE attempts > 0')).rowCount === 1)
  await whileCommitsHang({ db, url }, 'INSERT OR UPDATE ON log_holds', async () => {
    await send(other!, false)
    const hangs = `query LIKE 'COMMIT%' AND state = 'active' AND query_start < clock_timestamp() - interval '300 ms'`
    await until('the COMMIT hangs', async () => (await sessions(hangs)) > 0)
    failing = false
    link.reset()
    await until('it waits to begin the partition again', async () => (await sessions(`wait_event_type = 'Lock'`)) > 0)
  })
  await pipeline.drained()
  // So that no event can be accepted below these any more.
  await db.query("UPDATE raw_events SET accepted_at = accepted_at - interval '1 minute'")
  await until('it is released', async () => (await marks()).includes('release'))
  expect(await marks()).toEqual(['hold', 'release'])
}, 60_000)
