/**
 * Emptying a part in place. Its old events are removed by TRUNCATE, which takes the same time for any number of rows;
 * what is kept longer is copied before and put back, in one transaction.
 *
 * What is kept: both rows of an event that has a dead letter or is in `retries`, that a consumer group has parked or
 * failed to handle, that was processed less than the age ago (a replay of an old event), or that is not settled, which
 * must not happen here. The log begins after the highest position that is removed, and `log_starts` says so.
 *
 * The scan for young and unsettled events may take minutes and locks nothing. What has changed since is found by
 * indexes once both tables of the part are locked; this takes milliseconds, and every reader of the ledger waits
 * meanwhile. A statement that waited for the lock begins with its snapshot after it, so it sees what was put back.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import { DAY } from '../ledger/retention.js'
import { isLockInTheWay } from '../server/sql-errors.js'
import { leafOf, type PartRange } from '../server/to-parts.js'

/** Putting back more rows than these, or more bytes of data, would block readers for too long. */
const MOST_KEPT = 50_000
const MOST_KEPT_BYTES = 128 * 1024 * 1024

/** How often the lock is tried for, and the pause before the next time, in milliseconds. */
const TRIES = 10
const PAUSE_MS = 500

/** The result for one part. */
export interface Emptied {
  /**
   * - `emptied`: the events that are not kept were removed.
   * - `all kept`: there is nothing to remove.
   * - `too many kept`: the part stays as it is until fewer of its events are kept.
   * - `locked`: other statements have used the part all the time, or a replay has moved events of it meanwhile.
   * - `not settled`: an event above the watermark has appeared.
   */
  outcome: 'emptied' | 'all kept' | 'too many kept' | 'locked' | 'not settled'
  /** How many events it had. */
  events: number
  /** How many of them are kept. */
  kept: number
  /** Events below the watermark that are not settled. It is an error of EventFlow if there are any; they are kept. */
  unsettled: number
}

/** Empties a part, unless there is nothing to remove. Rejects when Postgres fails; then nothing was changed. */
export function emptyPart(db: Kysely<unknown>, part: PartRange, days: number, pauseMs = PAUSE_MS): Promise<Emptied> {
  return db.transaction().execute(async (tx) => {
    const before = await scanPart(tx, part, days)
    await sql`UPDATE ledger_parts SET looked_at = now() WHERE part = ${part.part}`.execute(tx)
    if (before.kept === before.events && (before.events > 0 || before.again)) return { ...before, outcome: 'all kept' }
    if (before.kept > MOST_KEPT || before.bytes > MOST_KEPT_BYTES) return { ...before, outcome: 'too many kept' }
    const replaced = await replaceUnlessLocked(tx, { ...part, ...before }, pauseMs)
    if (replaced.outcome === 'locked') {
      await sql`UPDATE ledger_parts SET looked_at = NULL WHERE part = ${part.part}`.execute(tx)
    }
    return { ...before, ...replaced }
  })
}

type Replaced = { outcome: Emptied['outcome']; kept?: number }

type Scanned = PartRange & Pick<Before, 'replaying'>

async function replaceUnlessLocked(tx: Kysely<unknown>, part: Scanned, pauseMs: number): Promise<Replaced> {
  for (let tries = 1; ; tries++) {
    await sql`SAVEPOINT unlocked`.execute(tx)
    try {
      return await replaceRows(tx, part)
    } catch (error) {
      if (!isLockInTheWay(error)) throw error
      await sql`ROLLBACK TO SAVEPOINT unlocked`.execute(tx)
      if (tries === TRIES) return { outcome: 'locked' }
      await delay(pauseMs)
    }
  }
}

interface Before extends Omit<Emptied, 'outcome'> {
  bytes: number
  /** It was emptied before. */
  again: boolean
  /** How many of its processed events are being replayed. */
  replaying: number
}

/**
 * Finds the events to be kept for which there is no index, in `found_before`. `heads_before` has the last position of
 * each partition in this part from before the scan: what is processed later gets a higher one. Only a processed event
 * that is replayed gets its own one again: those that are being replayed are kept, and `replays_before` tells whether
 * others followed.
 */
async function scanPart(tx: Kysely<unknown>, { part, from, until }: PartRange, days: number): Promise<Before> {
  const [raw, processed] = tablesOf(part)
  await sql`
    CREATE TEMP TABLE heads_before ON COMMIT DROP AS
    SELECT p.id AS partition, coalesce((SELECT max(position) FROM ${processed} WHERE partition = p.id), 0) AS position
    FROM partitions p`.execute(tx)
  await sql`
    CREATE TEMP TABLE replays_before ON COMMIT DROP AS
    SELECT id, after_seq, done FROM operations WHERE kind = 'replay-processed'`.execute(tx)
  const replaying = await countReplaying(tx, { from, until })
  await sql`
    CREATE TEMP TABLE found_before ON COMMIT DROP AS
    SELECT seq, partition, false AS unsettled FROM ${processed} WHERE processed_at >= now() - ${sql.lit(days)} * ${sql.raw(DAY)}
    UNION ALL
    SELECT seq, partition, false FROM log_replaying l JOIN ${raw} USING (partition, seq)
    WHERE NOT EXISTS (SELECT FROM ${processed} p WHERE p.seq = l.seq)
    UNION ALL
    SELECT seq, partition, true FROM ${raw} r
    WHERE NOT EXISTS (SELECT FROM ${processed} p WHERE p.seq = r.seq)
      AND NOT EXISTS (SELECT FROM failed_events f WHERE f.seq = r.seq)
      AND NOT EXISTS (SELECT FROM retries w WHERE w.seq = r.seq)`.execute(tx)
  const { rows } = await sql<Record<'events' | 'kept' | 'unsettled' | 'bytes', string> & { again: boolean }>`
    WITH kept AS (
      SELECT seq, partition FROM found_before
      UNION SELECT seq, partition FROM failed_events WHERE seq >= ${from} AND seq < ${until}
      UNION SELECT seq, partition FROM retries WHERE seq >= ${from} AND seq < ${until}
      ${keptForGroups(from, until)})
    SELECT (SELECT count(*) FROM ${raw}) AS events, count(r.seq) AS kept, coalesce(sum(pg_column_size(r.payload)), 0) AS bytes,
           (SELECT count(*) FROM found_before WHERE unsettled) AS unsettled,
           (SELECT emptied_at IS NOT NULL FROM ledger_parts WHERE part = ${part}) AS again
    FROM kept k JOIN ${raw} r ON r.partition = k.partition AND r.seq = k.seq`.execute(tx)
  const { events, kept, unsettled, bytes, again } = rows[0]!
  return {
    ...{ events: Number(events), kept: Number(kept), unsettled: Number(unsettled), bytes: Number(bytes) },
    ...{ again, replaying },
  }
}

/** Rejects with SQLSTATE 55P03 if the lock cannot be had in time. */
async function replaceRows(tx: Kysely<unknown>, range: Scanned): Promise<Replaced> {
  const { part, from, until } = range
  const [raw, processed] = tablesOf(part)
  await sql`LOCK TABLE ${raw}, ${processed} IN ACCESS EXCLUSIVE MODE`.execute(tx)
  // Without statistics, Postgres might read the whole part rather than an index while all readers wait.
  await sql`SET LOCAL enable_seqscan = off`.execute(tx)
  await sql`SET LOCAL enable_hashjoin = off`.execute(tx)
  await sql`SET LOCAL enable_mergejoin = off`.execute(tx)
  const { rows } = await sql<{ above: boolean }>`
    SELECT EXISTS (SELECT FROM partitions s JOIN ${raw} r ON r.partition = s.id AND r.seq > s.settled_seq) AS above`.execute(
    tx,
  )
  if (rows[0]!.above) return { outcome: 'not settled' }
  if (await hasReplayed(tx, range)) return { outcome: 'locked' }
  await findKept(tx, range)
  await raiseLogStarts(tx, part)
  await sql`
    CREATE TEMP TABLE raw_kept ON COMMIT DROP AS
    SELECT r.* FROM kept k JOIN ${raw} r ON r.partition = k.partition AND r.seq = k.seq`.execute(tx)
  await sql`
    CREATE TEMP TABLE processed_kept ON COMMIT DROP AS
    SELECT p.* FROM kept k JOIN ${processed} p ON p.seq = k.seq`.execute(tx)
  await sql`TRUNCATE ${raw}, ${processed}`.execute(tx)
  const { numAffectedRows } = await sql`INSERT INTO ${raw} SELECT * FROM raw_kept`.execute(tx)
  await sql`INSERT INTO ${processed} SELECT * FROM processed_kept`.execute(tx)
  await sql`
    DELETE FROM log_replaying l
    WHERE seq >= ${from} AND seq < ${until} AND NOT EXISTS (SELECT FROM kept k WHERE k.seq = l.seq)`.execute(tx)
  await sql`UPDATE ledger_parts SET emptied_at = now() WHERE part = ${part}`.execute(tx)
  return { outcome: 'emptied', kept: Number(numAffectedRows) }
}

/**
 * Whether processed events of this part may have been replayed since the scan began, and processed again: more were
 * replayed than there are more of that wait for it.
 */
async function hasReplayed(tx: Kysely<unknown>, { from, until, replaying }: Scanned): Promise<boolean> {
  const more = Math.max(0, (await countReplaying(tx, { from, until })) - replaying)
  const { rows } = await sql<{ some: boolean }>`
    SELECT coalesce(sum(o.done - coalesce(b.done, 0)), 0) > ${more} AS some
    FROM operations o LEFT JOIN replays_before b USING (id)
    WHERE o.kind = 'replay-processed' AND o.after_seq >= ${from}
      AND coalesce(b.after_seq, 0) < least(o.after_seq, ${until} - 1)`.execute(tx)
  return rows[0]!.some
}

async function countReplaying(tx: Kysely<unknown>, { from, until }: Omit<PartRange, 'part'>): Promise<number> {
  const { rows } = await sql<{ count: string }>`
    SELECT count(*) FROM log_replaying WHERE seq >= ${from} AND seq < ${until}`.execute(tx)
  return Number(rows[0]!.count)
}

/** Records the highest position of each partition that is removed with this part. */
async function raiseLogStarts(tx: Kysely<unknown>, part: number): Promise<void> {
  const [, processed] = tablesOf(part)
  await sql`CREATE INDEX ON kept (seq)`.execute(tx)
  await sql`
    UPDATE log_starts s SET low_position = removed.position
    FROM log_starts l CROSS JOIN LATERAL (
      SELECT position FROM ${processed} p
      WHERE p.partition = l.partition AND p.position > l.low_position
        AND NOT EXISTS (SELECT FROM kept k WHERE k.seq = p.seq)
      ORDER BY position DESC LIMIT 1) removed
    WHERE s.partition = l.partition`.execute(tx)
}

/**
 * Finds all events to be kept, in `kept`: an operator may have replayed some since the scan, and workers settled some.
 */
async function findKept(tx: Kysely<unknown>, { part, from, until }: PartRange): Promise<void> {
  const [, processed] = tablesOf(part)
  await sql`
    CREATE TEMP TABLE kept ON COMMIT DROP AS
    SELECT seq, partition FROM found_before
    UNION SELECT f.seq, f.partition FROM failed_events f WHERE f.seq >= ${sql.lit(from)} AND f.seq < ${sql.lit(until)}
    UNION SELECT seq, partition FROM retries WHERE seq >= ${sql.lit(from)} AND seq < ${sql.lit(until)}
    ${keptForGroups(from, until)}
    UNION SELECT p.seq, p.partition
          FROM heads_before h JOIN ${processed} p ON p.partition = h.partition AND p.position > h.position`.execute(tx)
}

/** What consumer groups have still to handle, or may be told to handle again. */
const keptForGroups = (from: number, until: number) => sql`
  UNION SELECT seq, partition FROM group_parked WHERE seq >= ${sql.lit(from)} AND seq < ${sql.lit(until)}
  UNION SELECT seq, partition FROM group_dead_letters
        WHERE seq >= ${sql.lit(from)} AND seq < ${sql.lit(until)} AND status IN ('open', 'replaying')`

const tablesOf = (part: number) =>
  [sql.table(leafOf('raw_events', part)), sql.table(leafOf('processed_events', part))] as const
