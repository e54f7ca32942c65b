/**
 * Quick scenarios of windows. Their events happened an hour ago: nothing but later events closes a window.
 */
import { type Db, type Transaction, withTransaction } from '@eventflow/db'
import { type Step, until } from '@eventflow/testkit'
import { at, handled, INSERT_MARK, leading, oneByOne, readBy, reading, step } from './reading.js'
import type { QuickScenario, QuickStage } from './stage.js'
import { neighbourOf, partitionOfKey, processed, sourceAway, sourceBack } from './steps.js'

type Window = 'fault-tumbling' | 'fault-hopping' | 'fault-session'

const OF_GROUP = 'WHERE group_id = (SELECT group_id FROM consumer_groups WHERE name = $1) AND partition = $2'
const ofGroup = (window: Window, key: string) => [window, partitionOfKey(key)]

/** The worker keeps its leases while another session holds it up, also on a slow machine. */
const HELD_UP = { EVENTFLOW_LEASE_SECONDS: '10' }

async function lockedOut(db: Db, text: string): Promise<void> {
  await until('it waits for a lock', async () => {
    const { rows } = await db.query(
      `SELECT FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`,
      [text],
    )
    return rows.length > 0
  })
}

/** Sends an event, and runs `meanwhile` when the batch of the window that has it is about to move the cursor. */
async function whileItBegins(
  { db, clients }: QuickStage,
  window: Window,
  first: Step,
  meanwhile: (tx: Transaction, id: string) => Promise<unknown>,
): Promise<void> {
  await withTransaction(db, async (tx) => {
    await tx.query(`SELECT FROM group_cursors ${OF_GROUP} FOR UPDATE`, ofGroup(window, first.key))
    const [id] = (await clients.send([first])) as [string]
    await processed(db, [id])
    await lockedOut(db, 'SET position = locked.after')
    await meanwhile(tx, id)
  })
}

/** A batch has events that pass each other, one of them too late. */
export const judgesEachEvent: QuickScenario = async (stage) => {
  const key = 'judges each event'
  await reading(stage)
  await whileItBegins(stage, 'fault-hopping', step(neighbourOf(key), 0), async () => {
    const together = [1, 30, 2, 60].map((seconds) => step(key, seconds))
    await processed(stage.db, await stage.clients.send(together))
  })
}
judgesEachEvent.windows = true
judgesEachEvent.settings = HELD_UP

/** The watermark reaches exactly the end of a window. */
export const reachesTheEnd: QuickScenario = async (stage) => {
  const key = 'reaches the end'
  await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 1), step(key, 12)])
}
reachesTheEnd.windows = true

/** Windows of a key close one after the other, with a restart between them. */
export const closesAcrossARestart: QuickScenario = async (stage) => {
  const key = 'closes across a restart'
  const worker = await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 1), step(key, 30)])
  await worker.stop()
  await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 2), step(key, 60)])
}
closesAcrossARestart.windows = true

/** The same batch was committed before, and its COMMIT has arrived late. */
export const isCountedAgain: QuickScenario = async (stage) => {
  const key = 'counted again'
  await reading(stage)
  await whileItBegins(stage, 'fault-hopping', step(key, 1), async (tx, id) => {
    const { rows } = await tx.query('SELECT position, accepted_at FROM processed_events WHERE event_id = $1', [id])
    const [{ position, accepted_at }] = rows
    const ids = `SELECT group_id, 1, $2, 'default'`
    const group = 'FROM consumer_groups WHERE name = $1'
    await tx.query(
      `INSERT INTO window_state (group_id, generation, partition, tenant_id, key, start_at, first_open, end_at, close_at, state)
       ${ids}, $3, $4, $5, $6, $7, '{"count": 1, "sum": "1"}' ${group}`,
      [...ofGroup('fault-hopping', key), key, ...[0, -5, 5, 5].map((seconds) => at(seconds) * 1_000)],
    )
    await tx.query(
      `INSERT INTO group_watermarks (group_id, generation, partition, tenant_id, watermark, seen, last_accepted)
       ${ids}, $3, $4, $5 ${group}`,
      [...ofGroup('fault-hopping', key), at(-1) * 1_000, at(1) * 1_000, accepted_at.getTime() * 1_000],
    )
    await tx.query(`UPDATE group_cursors SET position = $3 ${OF_GROUP}`, [...ofGroup('fault-hopping', key), position])
  })
}
isCountedAgain.windows = true
isCountedAgain.settings = HELD_UP

/** Two batches have events of one window. */
export const countsOnAndOn: QuickScenario = async (stage) => {
  const key = 'counts on and on'
  await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 1), step(key, 2), step(key, 3)])
}
countsOnAndOn.windows = true

/** An event waits for the source, and later ones of its partition are settled before it. */
export const waitsForAWindow: QuickScenario = async (stage) => {
  const { db, clients, claim } = stage
  const key = 'waits for a window'
  const other = neighbourOf(key)
  await reading(stage)
  await sourceAway(db)
  const [waiting] = await clients.send([{ ...step(key, 1), mood: 'needs the source' }])
  await oneByOne(stage, 'fault-hopping', [step(other, 30), step(other, 31), step(other, 32)])
  await sourceBack(db)
  await processed(db, [waiting!])
  await readBy(db, 'fault-hopping', [waiting!])
  const { rows } = await db.query('SELECT FROM late_events WHERE event_id = $1', [waiting])
  claim('an event that has waited is not late', rows.length === 0)
}
waitsForAWindow.windows = true

/** A tick comes so soon after an event that it does not count. */
export const ticksTooSoon: QuickScenario = async (stage) => {
  const key = 'ticks too soon'
  await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 1)])
  await stage.db.query(INSERT_MARK, [partitionOfKey(key), 'tick', Date.now() * 1_000, at(0) * 1_000])
  await oneByOne(stage, 'fault-hopping', [step(key, 2)])
}
ticksTooSoon.windows = true

/** Postgres fails while the time of a mark is written that no event follows. */
export const losesAMark: QuickScenario = async (stage) => {
  const { db, links } = stage
  const key = 'loses a mark'
  await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 20)])
  // A cursor is saved at most once a second, for all that is not for the group.
  await until('a cursor may be saved again', async () => {
    const { rows } = await db.query(`SELECT FROM group_cursors HAVING max(moved_at) < now() - interval '1.2 seconds'`)
    return rows.length > 0
  })
  links.postgres.mode = { kind: 'lose answer', text: 'write-group-times' }
  await db.query(INSERT_MARK, [partitionOfKey(key), 'hold', at(1) * 1_000, null])
  await until('the answer is lost', () => links.postgres.mode.kind === 'pass')
  await until('the mark is passed', async () => {
    const { rows } = await db.query(
      `SELECT FROM group_cursors ${OF_GROUP} AND position >= (SELECT max(position) FROM log_marks)`,
      ofGroup('fault-hopping', key),
    )
    return rows.length > 0
  })
}
losesAMark.windows = true

/** An event connects two sessions. */
export const bridgesSessions: QuickScenario = async (stage) => {
  const key = 'bridges sessions'
  await reading(stage)
  await oneByOne(stage, 'fault-session', [handled(key, 1), handled(key, 2.8), handled(key, 1.9)])
}
bridgesSessions.windows = true

/** A clock is hours ahead. */
export const isAhead: QuickScenario = async (stage) => {
  const key = 'ahead'
  await reading(stage)
  await oneByOne(stage, 'fault-hopping', [step(key, 1), step(key, 10 * 3_600), step(key, 2)])
}
isAhead.windows = true

/** A result is emitted. */
export const emitsAResult: QuickScenario = async (stage) => {
  const { db, claim } = stage
  const key = 'emits a result'
  await reading(stage)
  await oneByOne(stage, 'fault-tumbling', [leading(key, 1), leading(key, 10)])
  await until(
    'the emitted event is processed',
    async () => (await db.query(`SELECT FROM processed_events WHERE type = 'fault.windowed'`)).rows.length > 0,
    5_000,
  ).catch(() => claim('what a window emits is published', false))
}
emitsAResult.windows = true

const rebuilt = (db: Db) =>
  until('the new version is shown', async () => {
    const { rows } = await db.query(
      `SELECT FROM consumer_groups WHERE name LIKE 'fault-%' AND generation = 2 AND building IS NULL`,
    )
    return rows.length === 3
  })

/** A new version of a window reads again what has led to results. */
export const isBuiltAnew: QuickScenario = async (stage) => {
  const key = 'built anew'
  const worker = await reading(stage)
  await oneByOne(stage, 'fault-tumbling', [leading(key, 1), leading(key, 10)])
  await until('a result is emitted', async () => {
    const { rows } = await stage.db.query(`SELECT FROM raw_events WHERE type = 'fault.windowed'`)
    return rows.length > 0
  })
  await worker.stop()
  stage.redefine(2)
  await reading(stage)
  await rebuilt(stage.db)
  await oneByOne(stage, 'fault-tumbling', [leading(key, 20)])
}
isBuiltAnew.windows = true

/** Keeps windows from closing while `work` runs, which sends the event that lets them close; then Postgres fails. */
async function whileItCannotClose({ db, links }: QuickStage, work: () => Promise<unknown>): Promise<void> {
  await withTransaction(db, async (tx) => {
    await tx.query('SELECT FROM window_state FOR UPDATE')
    await work()
    await lockedOut(db, 'DELETE FROM window_state')
    links.postgres.reset()
  })
}

/** The connection breaks while windows close. */
export const isCutOffWhileItCloses: QuickScenario = async (stage) => {
  const { clients } = stage
  const key = 'cut off while it closes'
  await reading(stage)
  await oneByOne(stage, 'fault-tumbling', [leading(key, 1)])
  await whileItCannotClose(stage, () => clients.send([leading(key, 10)]))
}
isCutOffWhileItCloses.windows = true

/** A worker ends between the event that lets a window close, and its end; the next one has a new version of the window. */
export const isReplacedBeforeItCloses: QuickScenario = async (stage) => {
  const { clients, db } = stage
  const key = 'replaced before it closes'
  const worker = await reading(stage)
  await oneByOne(stage, 'fault-tumbling', [leading(key, 1)])
  let stopped: Promise<void> | undefined
  await whileItCannotClose(stage, async () => {
    await clients.send([leading(key, 10)])
    await lockedOut(db, 'DELETE FROM window_state')
    stopped = worker.stop().catch(() => {}) // it may lose its connection before it has given its leases back
  })
  await stopped
  stage.redefine(2)
  await reading(stage)
  await rebuilt(db)
}
isReplacedBeforeItCloses.windows = true
