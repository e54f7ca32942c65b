/** Quick scenarios of the ledger: buckets of ids that turn, parts that are missing, seqs that are assigned twice. */
import { randomUUID } from 'node:crypto'
import { ADVISORY_LOCKS, connect, type Db, INGEST_APPLICATION, insertRawEvents } from '@eventflow/db'
import { adminUrlOf, FIRST_ID, newEvent, post, sessionsWaiting, until } from '@eventflow/testkit'
import type { QuickScenario, QuickStage } from './stage.js'
import { partitionOfKey, processed, working } from './steps.js'

const TYPE = 'fault.step'
const DAYS = { EVENTFLOW_DEDUPLICATION_DAYS: '1', EVENTFLOW_RETENTION_SETTLED_DAYS: '1' }

/** Sends an event again that `clients` has sent as the first of its key. */
const sendAgain = ({ pipeline }: QuickStage, id: string, key: string) =>
  post(`${pipeline.url}/v1/events/batch`, [{ id, type: TYPE, data: { key, n: 1 } }])

const bucketOf = async (db: Db) => (await db.query('SELECT bucket, turning FROM ledger')).rows[0]

/** Lets the window of deduplication pass, and waits for the turn. */
async function turned(db: Db): Promise<void> {
  const { bucket } = await bucketOf(db)
  await db.query(`UPDATE ledger SET turned_at = now() - interval '1 day'`)
  await until('the bucket turns', async () => (await bucketOf(db)).bucket > bucket)
}

const turnEnds = (db: Db) => until('the turn ends', async () => !(await bucketOf(db)).turning)

/** An event is sent again after one turn, and after two. Its row still exists. */
export const sentAgainAfterTurns: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'sent again after turns'
  await working(stage)
  const [id] = (await clients.send([{ key }])) as [string]
  await processed(db, [id])
  for (let turn = 0; turn < 2; turn++) {
    await turned(db)
    await turnEnds(db)
    await sendAgain(stage, id, key)
  }
}
sentAgainAfterTurns.settings = DAYS

/** While an event is being stored in the old bucket, the bucket turns, and the event is sent again. */
export const sentTwiceAtATurn: QuickScenario = async ({ clients, pipeline, db, claim }) => {
  const key = 'sent twice at a turn'
  await pipeline.startWorker()
  const ingest = connect({
    url: adminUrlOf(pipeline.databaseUrl),
    applicationName: INGEST_APPLICATION,
    max: 1,
    onIdleError: () => {},
  })
  const storing = await ingest.connect()
  await storing.query('BEGIN')
  const first = newEvent({
    id: FIRST_ID,
    key,
    type: TYPE,
    source: '/',
    partition: partitionOfKey(key),
    payload: JSON.stringify({ key, n: 1 }),
  })
  await insertRawEvents(storing, [first])
  await turned(db)
  const again = clients.send([{ key }])
  let isAnswered = false
  void again.then(() => {
    isAnswered = true
  })
  await until('it is answered or waits', async () => isAnswered || (await sessionsWaiting(db)).length > 0)
  await storing.query('COMMIT')
  storing.release()
  await ingest.end()
  await again
  const { rows } = await db.query('SELECT count(*) AS events FROM raw_events WHERE event_id = $1', [FIRST_ID])
  claim('accepted once', Number(rows[0].events) === 1)
}
sentTwiceAtATurn.settings = DAYS

/** No part takes the next event until another process makes one. */
export const partMissing: QuickScenario = async (stage) => {
  const { clients, db, claim, pipeline } = stage
  const holder = await db.connect()
  await holder.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCKS.parts])
  await holder.query(`SELECT setval('event_seq', (SELECT max(until_seq) FROM ledger_parts))`)
  const answer = await post(`${pipeline.url}/v1/events/batch`, [{ type: TYPE, data: { key: 'refused', n: 1 } }])
  claim('answered 503', answer.status === 503)
  await holder.query('SELECT pg_advisory_unlock($1)', [ADVISORY_LOCKS.parts])
  holder.release()
  await clients.send([{ key: 'part missing' }])
  await working(stage)
}

/** Postgres forgets events whose entries are in the streams. Their seqs are assigned again. */
async function forgetAll(db: Db): Promise<void> {
  await db.query(`
    WITH gone AS (DELETE FROM raw_events RETURNING seq), ids AS (DELETE FROM event_ids)
    SELECT setval('event_seq', min(seq), false) FROM gone`)
}

const unsent = (key: string) => ({ id: randomUUID(), type: TYPE, data: { key, n: 1 } })

/** A copy of the files is restored: nothing shows that, except entries with seqs that were not assigned yet. */
export const filesRestored: QuickScenario = async (stage) => {
  const { clients, db, redis, pipeline } = stage
  const key = 'files restored'
  await (await working(stage)).stop()
  await pipeline.send([unsent(key)])
  await forgetAll(db)
  await pipeline.startWorker()
  const stream = `${pipeline.prefix}:{p${partitionOfKey(key)}}:events`
  await until('the entry is gone', async () => (await redis.xlen(stream)) === 0)
  await clients.send([{ key }])
}

/** A dump is restored into another database, and its seqs are assigned again before a worker starts. */
export const dumpRestored: QuickScenario = async (stage) => {
  const { clients, db, pipeline } = stage
  const key = 'dump restored'
  await (await working(stage)).stop()
  await pipeline.send([unsent(key)])
  await forgetAll(db)
  await db.query(`UPDATE ledger SET identity = 'another database'`)
  await clients.send([{ key }])
  await pipeline.startWorker()
}

/** A standby takes over while a worker runs: it settles nothing before a new incarnation has begun. */
export const standbyTookOver: QuickScenario = async (stage) => {
  const { clients, db, claim } = stage
  const key = 'standby took over'
  await working(stage)
  await processed(db, await clients.send([{ key }]))
  await db.query(`UPDATE ledger SET timeline = 'FFFFFFFF'`)
  await processed(db, await clients.send([{ key }]))
  const { rows } = await db.query('SELECT incarnation FROM ledger')
  claim('a new incarnation', Number(rows[0].incarnation) === 2)
}

/** Two batches of a partition: the positions of the log rise. */
export const positionsRise: QuickScenario = async (stage) => {
  const { clients, db, claim } = stage
  const key = 'positions rise'
  await working(stage)
  for (let n = 0; n < 3; n++) await processed(db, await clients.send([{ key }, { key }]))
  const { rows } = await db.query('SELECT position FROM processed_events WHERE key = $1 ORDER BY seq', [key])
  claim(
    'positions rise',
    rows.length === 6 && rows.every((row, n) => n === 0 || Number(row.position) > Number(rows[n - 1].position)),
  )
}
