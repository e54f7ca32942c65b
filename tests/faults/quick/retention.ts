/** Quick scenarios of retention: parts of the ledger whose events are old. IN_A_HURRY counts its ages in seconds. */
import type { Db } from '@eventflow/db'
import { post, until } from '@eventflow/testkit'
import type { QuickScenario, QuickStage } from './stage.js'
import { processed, sourceAway, sourceBack, working } from './steps.js'

const settings = { EVENTFLOW_RETENTION_SETTLED_DAYS: '1' }

/** Closes the part that takes events: the next event is in another part. */
async function closePart({ db, sweep }: QuickStage): Promise<void> {
  await db.query(`SELECT setval('event_seq', (SELECT until_seq FROM ledger_parts WHERE from_seq = 1))`)
  sweep()
}

const emptied = (db: Db) => until('the part is emptied', () => isSet(db, 'emptied_at'), 20_000)

async function isSet(db: Db, column: string): Promise<boolean> {
  const { rowCount } = await db.query(`SELECT FROM ledger_parts WHERE from_seq = 1 AND ${column} IS NOT NULL`)
  return rowCount === 1
}

const stored = async (db: Db, id: string) =>
  (await db.query('SELECT FROM raw_events WHERE event_id = $1', [id])).rowCount === 1

/** A dead letter is open when its part is old. */
export const keepsALetter: QuickScenario = async (stage) => {
  const { clients, db } = stage
  await working(stage)
  const [letter] = await clients.send([{ key: 'kept', mood: 'bad' }])
  await processed(db, await clients.send([{ key: 'old' }]))
  await closePart(stage)
  await emptied(db)
  stage.claim('a dead letter keeps its event', await stored(db, letter!))
}
keepsALetter.settings = settings

/** All events of a part are old. */
export const dropsAPart: QuickScenario = async (stage) => {
  const { clients, db } = stage
  await working(stage)
  await processed(db, await clients.send([{ key: 'dropped' }]))
  await closePart(stage)
  await emptied(db)
  await until('the part is dropped', () => isSet(db, 'dropped_at')).catch(() => {})
  stage.claim('a part without events is dropped', await isSet(db, 'dropped_at'))
}
dropsAPart.settings = settings

/** An operator replays an old event just before its part is emptied. */
export const replaysBeforeEmptying: QuickScenario = async (stage) => {
  const { clients, db, pipeline } = stage
  await working(stage)
  const [id] = await clients.send([{ key: 'replayed', mood: 'needs the source' }])
  await processed(db, [id!])
  // The checker expects one effect of an event that is replayed.
  await db.query('DELETE FROM effects; DELETE FROM totals')
  await sourceAway(db)
  const reader = await db.connect()
  await reader.query('BEGIN')
  await reader.query('SELECT FROM raw_events WHERE seq = 1')
  await closePart(stage)
  await until('retention waits for the reader', async () => {
    const { rowCount } = await db.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'eventflow-upkeep'
         AND wait_event_type = 'Lock'`,
    )
    return rowCount! > 0
  })
  const asked = await post(`${pipeline.url}/v1/events/replay`, {
    target: 'processed',
    filter: { ids: [id] },
    reason: 'again',
  })
  stage.claim('the replay is accepted', asked.ok)
  await until('it is being replayed', async () => (await db.query('SELECT FROM retries')).rowCount === 1)
  await reader.query('COMMIT')
  reader.release()
  await emptied(db)
  stage.claim('an event that is being replayed keeps its row', await stored(db, id!))
  await sourceBack(db)
}
replaysBeforeEmptying.settings = settings
