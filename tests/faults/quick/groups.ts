/** Quick scenarios of consumer groups: batches that run again, parked events, emitted events that are not published. */
import { type Db, readArrivals, type Transaction, withTransaction } from '@eventflow/db'
import { LEADS_TO_ANOTHER, PARTITIONS, until, whileCommitsHang } from '@eventflow/testkit'
import type { QuickScenario, QuickStage } from './stage.js'
import { partitionOfKey, passed, processed, sourceAway, sourceBack, working } from './steps.js'

type Group = 'fault-group' | 'fault-emitting'

/** The cursor, or the lease, of a group in the partition of a key. */
const OF_GROUP = 'WHERE group_id = (SELECT group_id FROM consumer_groups WHERE name = $1) AND partition = $2'
const ofGroup = (group: Group, key: string) => [group, partitionOfKey(key)]

/** The worker keeps its leases while another session holds it up, also on a slow machine. */
const HELD_UP = { EVENTFLOW_LEASE_SECONDS: '10' }

/** Starts a worker, and waits until it reads all partitions, for itself and for the groups. */
async function reading(stage: QuickStage): Promise<void> {
  await working(stage)
  await groupsHaveBegun(stage.db)
}

const groupsHaveBegun = (db: Db) =>
  until('the groups have begun', async () => {
    const { rows } = await db.query(
      'SELECT FROM group_leases l JOIN group_cursors c USING (group_id, partition, epoch) WHERE owner IS NOT NULL',
    )
    return rows.length === 2 * PARTITIONS
  })

/** Waits until a statement with this text waits for a lock, and returns the process id of its session. */
async function lockedOut(db: Db, text: string): Promise<number> {
  return until('it waits for a lock', async () => {
    const { rows } = await db.query(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`,
      [text],
    )
    return rows[0]?.pid
  })
}

/** Sends an event, and runs `meanwhile` when the batch of a group that has it is about to move the cursor. */
async function whileItBegins(
  { db, clients }: QuickStage,
  group: Group,
  step: { key: string; mood?: string },
  meanwhile: (tx: Transaction, event: { id: string; session: number }) => Promise<unknown>,
): Promise<{ id: string; session: number }> {
  return withTransaction(db, async (tx) => {
    await tx.query(`SELECT FROM group_cursors ${OF_GROUP} FOR UPDATE`, ofGroup(group, step.key))
    const [id] = (await clients.send([step])) as [string]
    await processed(db, [id])
    const event = { id, session: await lockedOut(db, 'SET position = locked.after') }
    await meanwhile(tx, event)
    return event
  })
}

/** The effect of a batch of the group whose COMMIT was late. */
const haveEffect = (tx: Transaction, id: string) =>
  tx.query(
    `INSERT INTO group_effects (seq, tenant_id, event_id, key, partition)
     SELECT seq, tenant_id, event_id, key, partition FROM processed_events WHERE event_id = $1`,
    [id],
  )

/** Waits until the events that these lead to are processed. */
async function derivedProcessed(db: Db, causes: readonly string[], timeoutMs?: number): Promise<void> {
  await until(
    'what they lead to is processed',
    async () => {
      const { rows } = await db.query(
        'SELECT FROM raw_events JOIN processed_events USING (seq) WHERE causation_id = ANY($1::text[])',
        [causes],
      )
      return rows.length >= causes.length
    },
    timeoutMs,
  )
}

/** The same batch was committed before, and its COMMIT has arrived late. */
export const isRunTwice: QuickScenario = async (stage) => {
  const key = 'run twice'
  await reading(stage)
  await whileItBegins(stage, 'fault-group', { key }, async (tx, { id }) => {
    await haveEffect(tx, id)
    const position = '(SELECT position FROM processed_events WHERE event_id = $3)'
    await tx.query(`UPDATE group_cursors SET position = ${position} ${OF_GROUP}`, [...ofGroup('fault-group', key), id])
  })
}
isRunTwice.settings = HELD_UP

/** Another worker takes the partition for the group just when a batch of it begins. */
export const isTakenWhileItBegins: QuickScenario = async (stage) => {
  const { db, claim } = stage
  const key = 'taken while it begins'
  await reading(stage)
  const { id, session } = await whileItBegins(stage, 'fault-group', { key }, async (tx) => {
    await tx.query(`UPDATE group_cursors SET epoch = epoch + 1 ${OF_GROUP}`, ofGroup('fault-group', key))
    await tx.query(
      `UPDATE group_leases SET owner = 'another', epoch = epoch + 1, lease_expires_at = now() + interval '1 minute' ${OF_GROUP}`,
      ofGroup('fault-group', key),
    )
  })
  await until('its transaction has ended', async () => {
    const { rows } = await db.query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND state <> 'idle'`, [session])
    return rows.length === 0
  })
  const { rows } = await db.query('SELECT FROM group_effects WHERE event_id = $1', [id])
  claim('a former owner writes nothing', rows.length === 0)
  await db.query(`UPDATE group_leases SET owner = NULL ${OF_GROUP}`, ofGroup('fault-group', key))
}
isTakenWhileItBegins.settings = HELD_UP

/** The handler of a group fails, with other events in its batch. */
export const failsInAGroup: QuickScenario = async (stage) => {
  await reading(stage)
  const keys = Array.from({ length: 12 }, (_, n) => `fails in a group ${n}`)
  await stage.clients.send(keys.flatMap((key) => [{ key, mood: 'group fails once' }, { key }]))
}

/** Waits until the group has passed an event: it has handled or parked it. */
const passedByTheGroup = (db: Db, id: string) =>
  until('the group has passed it', async () => {
    const { rows } = await db.query(
      `SELECT FROM processed_events p JOIN group_cursors c USING (partition) JOIN consumer_groups g USING (group_id)
       WHERE g.name = 'fault-group' AND c.position >= p.position AND event_id = $1`,
      [id],
    )
    return rows.length > 0
  })

/** Sends two events of a key, one after the other. The first waits for the source of the group, the second behind it. */
async function waitInTheGroup({ db, clients }: QuickStage, key: string): Promise<string> {
  await sourceAway(db)
  const [first] = (await clients.send([{ key, mood: 'group needs the source' }])) as [string]
  await passedByTheGroup(db, first)
  const [second] = (await clients.send([{ key }])) as [string]
  await passedByTheGroup(db, second)
  return first
}

/** A later event of a key comes while an earlier one waits in the group. */
export const waitsInAGroup: QuickScenario = async (stage) => {
  await reading(stage)
  await waitInTheGroup(stage, 'waits in a group')
  await sourceBack(stage.db)
}

/** The partition changes hands in the group while events are parked. */
export const isParkedThroughATakeOver: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const key = 'parked through a take-over'
  await reading(stage)
  await waitInTheGroup(stage, key)
  await db.query(`UPDATE group_leases SET owner = NULL, epoch = epoch + 1 ${OF_GROUP}`, ofGroup('fault-group', key))
  await groupsHaveBegun(db)
  await clients.send([{ key }])
  await sourceBack(db)
}

/** An event that is parked was handled by an earlier run, whose COMMIT has arrived late. */
export const isParkedAndHandled: QuickScenario = async (stage) => {
  const { db } = stage
  await reading(stage)
  const id = await waitInTheGroup(stage, 'parked and handled')
  await withTransaction(db, async (tx) => {
    const isParked = 'seq = (SELECT seq FROM processed_events WHERE event_id = $1)'
    await tx.query(`SELECT FROM group_parked WHERE ${isParked} FOR UPDATE`, [id])
    await lockedOut(db, 'group_parked')
    await haveEffect(tx, id)
    await tx.query(`DELETE FROM group_parked WHERE ${isParked}`, [id])
  })
  await sourceBack(db)
}
isParkedAndHandled.settings = HELD_UP

/**
 * The answer to the COMMIT of an emitted event is lost, so it is not published. The next event of its key is emitted
 * after that.
 */
export const losesTheAnswerToAnEmission: QuickScenario = async (stage) => {
  const { db, links, clients } = stage
  const step = { key: 'emitted and not published', mood: LEADS_TO_ANOTHER }
  await reading(stage)
  links.postgres.mode = { kind: 'lose answer', text: 'COMMIT', after: 'insert-raw-events clock' }
  const [first] = await clients.send([step])
  await until('the answer is lost', () => links.postgres.mode.kind === 'pass')
  await until('the event is emitted', async () => {
    return (await db.query('SELECT FROM raw_events WHERE causation_id = $1', [first])).rows.length > 0
  })
  await derivedProcessed(db, (await clients.send([step])) as string[], 5_000).catch(() => {}) // the checker finds missing events
}

/** An event is emitted, and published at once. */
export const emits: QuickScenario = async (stage) => {
  const { db, clients, claim } = stage
  await reading(stage)
  const causes = await clients.send([{ key: 'emits', mood: LEADS_TO_ANOTHER }])
  await derivedProcessed(db, causes, 5_000).catch(() => claim('what is emitted is published', false))
}

/** The group that emits begins again with events that have led to others before. */
export const emitsAgain: QuickScenario = async (stage) => {
  const { db, clients } = stage
  const step = { key: 'emits again', mood: LEADS_TO_ANOTHER }
  await reading(stage)
  await derivedProcessed(db, await clients.send([step, step]))
  await db.query(`UPDATE group_cursors SET position = 0 ${OF_GROUP}`, ofGroup('fault-emitting', step.key))
  await derivedProcessed(db, await clients.send([step]))
}

/** Redis refuses an emitted event, and the mark cannot be made either. The next event of its key is emitted after that. */
export const canNeitherPublishNorMark: QuickScenario = async (stage) => {
  const { db, redis, clients } = stage
  const step = { key: 'neither published nor marked', mood: LEADS_TO_ANOTHER }
  await reading(stage)
  await withTransaction(db, async (tx) => {
    await whileItBegins(stage, 'fault-emitting', step, async () => {
      await tx.query('SELECT FROM partition_marks WHERE id = $1 FOR UPDATE', [partitionOfKey(step.key)])
      await redis.config('SET', 'maxmemory', '1')
    })
    const session = await lockedOut(db, 'SET dirty = dirty + 1')
    await db.query('SELECT pg_terminate_backend($1, 5000)', [session])
    await redis.config('SET', 'maxmemory', '0')
  })
  await derivedProcessed(db, (await clients.send([step])) as string[], 5_000).catch(() => {}) // the checker finds missing events
}
canNeitherPublishNorMark.settings = HELD_UP

/** The transaction of an emitted event stays open while later events are accepted and processed. */
export const emitsForLong: QuickScenario = async (stage) => {
  const { db, pipeline, clients, sweep, claim } = stage
  const key = 'emits for long'
  await reading(stage)
  await whileCommitsHang({ db, url: pipeline.databaseUrl }, 'UPDATE ON group_cursors', async () => {
    const { lastSeq } = await readArrivals(db)
    await clients.send([{ key, mood: LEADS_TO_ANOTHER }])
    const emitted = await until('it is emitted', async () => {
      const arrivals = await readArrivals(db)
      return arrivals.lastSeq === lastSeq + 2 && arrivals.lastSeq
    })
    await passed(stage, key)
    sweep()
    const isPassed = async () => {
      const { rows } = await db.query('SELECT settled_seq FROM partitions WHERE id = $1', [partitionOfKey(key)])
      return rows[0].settled_seq >= emitted
    }
    await until('the watermark has passed it', isPassed, 2_500).then(
      () => claim('the watermark waits for emitted events', false),
      () => {},
    )
  })
}
emitsForLong.settings = HELD_UP
