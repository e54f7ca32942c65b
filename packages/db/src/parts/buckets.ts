/**
 * The buckets of `event_ids`. A bucket takes the ids of a whole window of deduplication, and is dropped a window after
 * the last: so an id is known for one to two windows. The ids of events that are kept longer are copied into the bucket
 * *kept* before, where every claim looks, too.
 *
 * At a turn, a process makes the next bucket the current one (`turnBucket`). The statements that run at this moment
 * still claim in the bucket that was current when they began. So all others claim in both (`ledger/event-ids.ts`),
 * until no statement from before the turn is left (`endTurn`).
 */
import { type Kysely, sql } from 'kysely'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { asOwner } from '../server/as-owner.js'
import { type Db, INGEST_APPLICATION, type Queryable } from '../server/connect.js'
import { copyRightsToPart, KEPT_BUCKET, leafOf } from '../server/to-parts.js'
import { dropLeaf } from './drop.js'

/** The buckets now. */
export interface Buckets {
  current: number
  previous: number | null
  /** Ids are claimed in both, because the current bucket is new. */
  turning: boolean
  /** Days since the current bucket began. */
  days: number
  /** The time when this was read, as Postgres writes it. */
  readAt: string
}

/** For how long ids are claimed in both buckets at least, in seconds. */
const TURN_SECONDS = 20

/** Seqs that one statement goes through. */
const WINDOW = 50_000

/** Resolves with the buckets; undefined before the tables are in parts. */
export async function readBuckets(db: Queryable): Promise<Buckets | undefined> {
  const { rows } = await db.query({
    name: 'read-buckets',
    text: `
      SELECT bucket AS current, previous_bucket AS previous, turning,
             extract(epoch FROM now() - turned_at)::float8 / 86400 AS days, clock_timestamp()::text AS "readAt"
      FROM ledger WHERE stage = 'parts'`,
  })
  return rows[0]
}

/**
 * Makes the next bucket the current one, after copying what is kept of the bucket before the current one: from now on
 * nothing looks there. Does nothing if another process has turned since `buckets` was read, or is about to.
 */
export async function turnBucket(url: string, { current, previous }: Buckets): Promise<void> {
  await alone(url, async (db) => {
    if (previous !== null) await copyKept(db, previous)
    await makeBucket(db, current + 1)
    await sql`
      UPDATE ledger SET bucket = bucket + 1, previous_bucket = bucket, turning = true, turned_at = now()
      WHERE bucket = ${current} AND NOT turning`.execute(db)
  })
}

/**
 * Ends a turn when no statement is left that began before it, at the earliest `seconds` after `seenAt`: when the caller
 * first saw this turn, from `readBuckets`. What began later has seen it, too. Resolves with whether the turn has ended.
 * If we may not see since when a transaction runs, it may have begun before.
 */
export async function endTurn(db: Db, seenAt: string, seconds = TURN_SECONDS): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE ledger SET turning = false, turned_seq = coalesce(pg_sequence_last_value(sequence::regclass), 0)
     WHERE turning AND $1::timestamptz <= now() - $2 * interval '1 second'
       AND NOT EXISTS (SELECT FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name = $3 AND state IS DISTINCT FROM 'idle'
                         AND coalesce(xact_start, '-infinity') <= $1::timestamptz)`,
    [seenAt, seconds, INGEST_APPLICATION],
  )
  return rowCount === 1
}

/**
 * Drops the buckets in which nothing looks any more, and makes the next one ahead. Resolves with false if it did
 * nothing, because another process works on the buckets. Rejects with SQLSTATE 55P03 if a bucket is in use for long: try
 * again later.
 */
export function tidyBuckets(url: string): Promise<boolean> {
  return alone(url, async (db) => {
    const { rows } = await sql<{ bucket: number; previous: number | null }>`
      SELECT bucket, previous_bucket AS previous FROM ledger`.execute(db)
    const { bucket, previous } = rows[0]!
    await makeBucket(db, bucket + 1)
    if (previous === null) return
    const { rows: leaves } = await sql<{ name: string }>`
      SELECT relname AS name FROM pg_class
      WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^event_ids_[0-9]+$'
        AND substr(relname, 11)::integer < ${previous}`.execute(db)
    for (const { name } of leaves) await dropLeaf(db, 'event_ids', name)
  })
}

/** Kept ids that one statement goes through. */
const KEPT_AT_ONCE = 10_000

/**
 * Removes the kept ids whose events retention has removed meanwhile, unless a restore brings them back just now. Goes
 * through all kept ids, `atOnce` in a statement. Resolves with the number of the removed ones.
 */
export async function forgetKept(db: Db, atOnce = KEPT_AT_ONCE): Promise<number> {
  let forgotten = 0
  let after = { tenantId: '', id: '00000000-0000-0000-0000-000000000000' }
  for (;;) {
    const { rows } = await db.query(
      `WITH looked AS MATERIALIZED (
         SELECT ctid, tenant_id, event_id,
                (SELECT true FROM raw_events r WHERE r.partition = k.partition AND r.seq = k.seq) IS NULL AS gone
         FROM event_ids k
         WHERE k.bucket = ${KEPT_BUCKET} AND (k.tenant_id, k.event_id) > ($1, $2)
         ORDER BY tenant_id, event_id LIMIT $3),
       removed AS (
         DELETE FROM event_ids i USING looked l
         WHERE l.gone AND i.bucket = ${KEPT_BUCKET} AND i.tenant_id = l.tenant_id AND i.event_id = l.event_id
           AND i.ctid = l.ctid
         RETURNING true)
       SELECT (SELECT count(*) FROM removed) AS removed, tenant_id AS "tenantId", event_id AS id
       FROM looked ORDER BY tenant_id DESC, event_id DESC LIMIT 1`,
      [after.tenantId, after.id, atOnce],
    )
    if (!rows[0]) return forgotten
    forgotten += rows[0].removed
    after = rows[0]
  }
}

/** Copies the ids of the events that still exist from a bucket into *kept*. May be repeated. */
async function copyKept(db: Kysely<unknown>, bucket: number): Promise<void> {
  const { rows } = await sql<{ first: string; last: string }>`
    SELECT first_seq AS first, turned_seq AS last FROM ledger`.execute(db)
  const last = Number(rows[0]!.last)
  for (let after = Number(rows[0]!.first) - 1; after < last; after += WINDOW) {
    const { numAffectedRows } = await sql`
      INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
      SELECT i.tenant_id, i.event_id, ${sql.lit(KEPT_BUCKET)}, i.seq, i.partition
      FROM partitions p
      JOIN raw_events r ON r.partition = p.id AND r.seq > ${after} AND r.seq <= ${after + WINDOW}
      JOIN event_ids i ON i.tenant_id = r.tenant_id AND i.event_id = r.event_id AND i.bucket = ${bucket} AND i.seq = r.seq
      ORDER BY i.tenant_id, i.event_id
      ON CONFLICT DO NOTHING`.execute(db)
    // A claim that was planned when the bucket was empty would read all of it.
    if (numAffectedRows) await sql`ANALYZE ${sql.table('event_ids_kept')}`.execute(db)
  }
}

async function makeBucket(db: Kysely<unknown>, bucket: number): Promise<void> {
  const name = leafOf('event_ids', bucket)
  const { rows } = await sql<{ there: boolean }>`
    SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(${name})) AS there`.execute(db)
  if (rows[0]!.there) return
  await sql`CREATE TABLE IF NOT EXISTS ${sql.table(name)} (LIKE event_ids)`.execute(db)
  await sql`ALTER TABLE event_ids ATTACH PARTITION ${sql.table(name)} FOR VALUES IN (${sql.lit(bucket)})`.execute(db)
  await copyRightsToPart(db, 'event_ids', name)
}

/** Runs `work` unless another process works on the buckets. Resolves with whether it did. */
function alone(url: string, work: (db: Kysely<unknown>) => Promise<void>): Promise<boolean> {
  return asOwner(url, async (db) => {
    const { rows } = await sql<{ free: boolean }>`
      SELECT pg_try_advisory_lock(${ADVISORY_LOCKS.buckets}) AS free`.execute(db)
    if (rows[0]!.free) await work(db)
    return rows[0]!.free
  })
}
