/** Quick scenarios of joins. Their events happened an hour ago: nothing but later events lets those go that wait. */
import { until } from '@eventflow/testkit'
import { at, handled, INSERT_MARK, leading, oneByOne, readBy, reading } from './reading.js'
import type { QuickScenario } from './stage.js'
import { neighbourOf, partitionOfKey } from './steps.js'

const SELF = 'fault-joined-self'
const LATEST = 'fault-joined-latest'

/** An event comes in time for another one, and time passes them both. */
export const isJoined: QuickScenario = async (stage) => {
  const { db, claim } = stage
  const key = 'joined'
  await reading(stage)
  await oneByOne(stage, SELF, [leading(key, 0), leading(key, 1.5), leading(neighbourOf(key), 20)])
  const pair = async () => {
    const { rows } = await db.query(
      `SELECT FROM processed_events JOIN raw_events r USING (partition, seq)
       WHERE r.type = 'fault.joined-self' AND r.payload->>'right' IS NOT NULL`,
    )
    return rows.length > 0
  }
  await until('the pair is processed', pair, 5_000).catch(() => claim('what a join emits is published', false))
}
isJoined.joins = true

/** The watermark has reached the bound of an event, and another one happened exactly then. */
export const reachesTheBound: QuickScenario = async (stage) => {
  const key = 'reaches the bound'
  await reading(stage)
  await oneByOne(stage, SELF, [leading(key, 0), leading(neighbourOf(key), 3), leading(key, 2)])
}
reachesTheBound.joins = true

/** A tick lets the watermark pass the bound of an event by a microsecond. */
export const passesTheBound: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const key = 'passes the bound'
  await reading(stage)
  const ahead = Date.now() + 20 * 60_000 // the tick has to be ten minutes after the event was accepted
  await readBy(db, LATEST, await clients.send([{ ...handled(key, 0), at: ahead }]))
  const watermark = BigInt(ahead) * 1_000n + 1n
  await db.query(INSERT_MARK, [partitionOfKey(key), 'tick', watermark + 1_000_000n, at(0) * 1_000])
  await until('the tick is passed', async () => {
    const { rows } = await db.query(
      `SELECT FROM group_watermarks JOIN consumer_groups USING (group_id, generation) WHERE name = $1 AND watermark = $2`,
      [LATEST, watermark],
    )
    return rows.length > 0
  })
}
passesTheBound.joins = true

/** An event is alone; then one comes too late for it, and another too late for one that still waits. */
export const comesTooLate: QuickScenario = async (stage) => {
  const key = 'comes too late'
  await reading(stage)
  await oneByOne(stage, SELF, [leading(key, 0), leading(key, 10), leading(key, 1), leading(key, 8.9)])
}
comesTooLate.joins = true

/** Of two left events, the later one is the latest of a right one, and the first is alone. */
export const isTheLatest: QuickScenario = async (stage) => {
  const key = 'the latest'
  await reading(stage)
  const events = [leading(key, 0), leading(key, 1), handled(key, 1.5), leading(neighbourOf(key), 10)]
  await oneByOne(stage, LATEST, events)
}
isTheLatest.joins = true

/** The connection breaks when an event that was alone has gone, and is about to be emitted (case 26). */
export const isCutOffWhileItIsEmitted: QuickScenario = async (stage) => {
  const { links, clients } = stage
  const key = 'cut off while it is emitted'
  await reading(stage)
  await oneByOne(stage, SELF, [leading(key, 0)])
  links.postgres.mode = { kind: 'lose answer', after: 'delete-waiting', text: 'fault.joined-self' }
  await clients.send([leading(neighbourOf(key), 10)])
  await until('the answer is lost', () => links.postgres.mode.kind === 'pass')
}
isCutOffWhileItIsEmitted.joins = true
