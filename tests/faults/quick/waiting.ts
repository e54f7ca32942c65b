/** Quick scenarios of waiting events: for another attempt, for their source, behind another of their key. */
import { until } from '@eventflow/testkit'
import type { QuickScenario } from './stage.js'
import {
  inRetries,
  inStreams,
  passed,
  processed,
  sourceAway,
  sourceBack,
  takenAway,
  whileFull,
  working,
} from './steps.js'

/** Events fail, transiently or permanently, with others behind them. */
export const fails: QuickScenario = async (stage) => {
  await working(stage)
  const keys = Array.from({ length: 12 }, (_, n) => `fails ${n}`)
  const steps = keys.flatMap((key) => [{ key, mood: 'flaky' }, { key }, { key }])
  await stage.clients.send([...steps, { key: 'fails for good', mood: 'bad' }, { key: 'fails for good' }])
}

/** The first of a key waits for its source; the second came in the same request. */
export const waitsWithAnother: QuickScenario = async (stage) => {
  const { db, clients } = stage
  await working(stage)
  await sourceAway(db)
  await clients.send([{ key: 'waits', mood: 'needs the source' }, { key: 'waits' }])
  await passed(stage, 'waits')
  await sourceBack(db)
}

/** A partition changes hands while an event waits for a retry, with another behind it. */
export const waitsThroughATakeOver: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const key = 'waits through a take-over'
  await working(stage)
  // One after the other: in one entry the second would bring the first along.
  await clients.send([{ key, mood: 'failing' }])
  await clients.send([{ key }])
  await inRetries(db, 1)
  await takenAway(db, key)
}

/** Two of a key wait for a retry, and the later one is due first. */
export const dueInAnotherOrder: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const key = 'due in another order'
  const [first] = await clients.send([{ key }])
  await clients.send([{ key }])
  await db.query(
    `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
     SELECT tenant_id, event_id, seq, partition, 0, now() + CASE event_id WHEN $1 THEN 1 ELSE -1 END * interval '1 second'
     FROM raw_events`,
    [first],
  )
  await working(stage)
}

/**
 * Two events of a key wait that are in no stream, because Redis refused them; then the partition returns to its stream,
 * a third one arrives, and the partition changes hands.
 */
export const knownToTheirOwnerOnly: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const key = 'known to its owner only'
  await working(stage)
  await sourceAway(db)
  await whileFull(stage, () => clients.send([{ key, mood: 'needs the source' }, { key }]))
  await inStreams(db)
  await clients.send([{ key }])
  await takenAway(db, key)
  await passed(stage, key)
  await sourceBack(db)
}

/** Of two in one entry the first fails and is processed, and the second waits; then the partition changes hands. */
export const sharesAnEntry: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const key = 'shares an entry'
  await working(stage)
  await sourceAway(db)
  const [first] = await clients.send([
    { key, mood: 'fails once' },
    { key, mood: 'needs the source' },
  ])
  await processed(db, [first!])
  await takenAway(db, key)
  await clients.send([{ key }])
  await passed(stage, key)
  await sourceBack(db)
}

/** More events of a key wait than the limit. */
export const waitsInGreatNumber: QuickScenario = async (stage) => {
  const { db, clients, claim } = stage
  const key = 'waits in great number'
  const worker = await working(stage)
  const waiting = async () => {
    await worker.refreshGauges()
    const { values } = await worker.metrics.waitingEvents.get()
    return values.reduce((sum, { value }) => sum + value, 0)
  }
  await sourceAway(db)
  await clients.send(Array.from({ length: 10 }, () => ({ key, mood: 'needs the source' })))
  await until('ten wait', async () => (await waiting()) === 10)
  await clients.send(Array.from({ length: 40 }, () => ({ key })))
  await processed(db, await clients.send([{ key: 'of another partition' }]))
  let most = 0
  const from = performance.now()
  while (performance.now() - from < 1_500) most = Math.max(most, await waiting()) // they are retried meanwhile
  claim('what waits in memory is bounded', most <= 10)
  await sourceBack(db)
}
waitsInGreatNumber.settings = { EVENTFLOW_MAX_WAITING: '10' }

/** A handler fails, which is written, but the answer is lost; when the batch is settled again it succeeds. */
export const failsOnceAndLosesTheAnswer: QuickScenario = async (stage) => {
  const { db, links, clients, claim } = stage
  await working(stage)
  links.postgres.mode = { kind: 'lose answer', text: 'COMMIT', after: 'upsert-retries' }
  await clients.send([{ key: 'fails once', mood: 'handler fails once' }])
  const both = `
    SELECT EXISTS (SELECT FROM processed_events) AS processed,
           EXISTS (SELECT FROM processed_events JOIN retries USING (tenant_id, event_id)) AS waits`
  const { waits } = await until('it is processed', async () => {
    const { rows } = await db.query(both)
    return rows[0].processed && rows[0]
  })
  await until('the answer was lost', () => links.postgres.mode.kind === 'pass')
  claim('what is processed waits no more', !waits)
}

/**
 * An event waits for its source; meanwhile the watermarks advance, its entry is lost, and its partition changes hands.
 */
export const passedByTheWatermark: QuickScenario = async (stage) => {
  const { db, redis, clients, sweep } = stage
  const key = 'passed by the watermark'
  await working(stage)
  sweep()
  await sourceAway(db)
  await clients.send([{ key, mood: 'needs the source' }])
  await passed(stage, key)
  const others = Array.from({ length: 40 }, (_, n) => ({ key: `beside ${n}` }))
  await processed(db, await clients.send(others))
  // If the watermark of its partition could pass it, it would have done so by the time the others' have advanced.
  await until('the watermarks of the others have passed', async () => {
    const { rows } = await db.query(`
      SELECT FROM raw_events r JOIN partitions p ON p.id = r.partition
      WHERE r.key LIKE 'beside%' AND settled_seq < seq AND p.id <> (SELECT partition FROM raw_events WHERE key = '${key}')`)
    return rows.length === 0
  })
  await redis.flushall()
  await takenAway(db, key)
  await sourceBack(db)
}

/** An event fails in every attempt. */
export const failsToTheEnd: QuickScenario = async (stage) => {
  await working(stage)
  await stage.clients.send([{ key: 'fails to the end', mood: 'failing' }, { key: 'fails to the end' }])
  await until('it is dead', async () => {
    const { rows } = await stage.db.query('SELECT FROM failed_events')
    return rows.length > 0
  }).catch(() => {}) // the checker finds missing events
}
