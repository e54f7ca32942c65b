/** `partitions`: who owns what, and how far it is. */
import type { Queryable } from '../server/connect.js'
import { IS_ALIVE } from './workers.js'

/** A partition as its owner knows it. */
export type Epoch = Pick<TakenPartition, 'partition' | 'epoch'>

/** Everything the workers decide their shares by, as of one moment. */
export interface Ownership {
  /** Workers whose heartbeat is recent, in the order of their ids. */
  workers: string[]
  partitions: { id: number; owner: string | null /** The lease has run out, or was given back. */; free: boolean }[]
}

/** How many partitions there are: fixed by the first migration. */
export async function countPartitions(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT count(*)::integer AS partitions FROM partitions')
  return rows[0].partitions
}

/**
 * Locks the rows of partitions whose epoch still holds, in the order of their ids, as every statement does that locks several:
 * otherwise two of them could wait for each other.
 */
function lockEpochs(partitions: string, epochs: string): string {
  return `
    SELECT id FROM partitions JOIN unnest(${partitions}::smallint[], ${epochs}::bigint[]) AS held(id, epoch) USING (id, epoch)
    ORDER BY id FOR UPDATE OF partitions`
}

/** Renews the leases and gives the partitions whose lease still held; the others belong to another worker by now. */
export async function renewLeases(
  db: Queryable,
  workerId: string,
  leases: readonly Epoch[],
  leaseMs: number,
): Promise<Set<number>> {
  const { rows } = await db.query({
    name: 'renew-leases',
    text: `
      UPDATE partitions SET lease_expires_at = now() + $4 * interval '1 millisecond'
      FROM (${lockEpochs('$2', '$3')}) AS locked
      WHERE partitions.id = locked.id AND owner = $1
      RETURNING partitions.id`,
    values: [workerId, leases.map((l) => l.partition), leases.map((l) => l.epoch), leaseMs],
  })
  return new Set(rows.map((row) => row.id))
}

/** Who is alive and who owns what, by the clock of the database. */
export async function readOwnership(db: Queryable): Promise<Ownership> {
  const { rows } = await db.query({
    name: 'read-ownership',
    text: `
      SELECT id, owner, owner IS NULL OR lease_expires_at < now() AS free,
             (SELECT coalesce(array_agg(worker_id ORDER BY worker_id), '{}') FROM workers
              WHERE ${IS_ALIVE}) AS workers
      FROM partitions ORDER BY id`,
  })
  return { workers: rows[0]?.workers ?? [], partitions: rows.map(({ id, owner, free }) => ({ id, owner, free })) }
}

/** No more crashes are counted: workers that end at once may do so for weeks, and the column holds 32,767. */
const MAX_CRASHES = 1_000

/** A partition that was just taken. */
export interface TakenPartition {
  partition: number
  epoch: number
  /**
   * How many owners did not give it back, their processes dead or cut off with events in hand, since one has lived long enough to save
   * its progress.
   */
  crashes: number
}

/**
 * Takes partitions that are free, and gives those that were had. A new epoch begins with each.
 * A partition that another transaction has locked (a rival, or the last settle of its old owner) is left for the next time.
 * `reclaim`: also what this worker's id owned before it was started again.
 */
export async function takePartitions(
  db: Queryable,
  workerId: string,
  partitions: readonly number[],
  { reclaim, leaseMs }: { reclaim: boolean; leaseMs: number },
): Promise<TakenPartition[]> {
  const { rows } = await db.query({
    name: 'take-partitions',
    text: `
      WITH before AS (
        SELECT id, owner FROM partitions
        WHERE id = ANY($2::smallint[]) AND (owner IS NULL OR lease_expires_at < now() OR ($3 AND owner = $1))
        ORDER BY id FOR UPDATE SKIP LOCKED)
      UPDATE partitions
      SET owner = $1, epoch = epoch + 1, lease_expires_at = now() + $4 * interval '1 millisecond',
          crashes = least(partitions.crashes + (before.owner IS NOT NULL)::int, ${MAX_CRASHES})
      FROM before WHERE partitions.id = before.id
      RETURNING partitions.id, epoch, crashes`,
    values: [workerId, partitions, reclaim, leaseMs],
  })
  return rows
    .map((row) => ({ partition: row.id, epoch: row.epoch, crashes: row.crashes }))
    .sort((a, b) => a.partition - b.partition)
}

/** Gives leases back, so that the next owner can start at once. */
export async function releasePartitions(db: Queryable, leases: readonly Epoch[]): Promise<void> {
  await db.query({
    name: 'release-partitions',
    text: `
      UPDATE partitions SET owner = NULL
      FROM (${lockEpochs('$1', '$2')}) AS locked
      WHERE partitions.id = locked.id`,
    values: [leases.map((l) => l.partition), leases.map((l) => l.epoch)],
  })
}

/** Where the owner of a partition begins. */
export interface PartitionState {
  /** Everything up to here is settled, or waits in `retries`. */
  settledSeq: number
  /** Above 0: something was accepted that is not in the stream. */
  dirty: number
  /** The identity of the feed that was last known to be whole; `null` when there is none. */
  feedIdentity: string | null
}

/** The state of a partition, or nothing when the epoch has ended. */
export async function readPartition(db: Queryable, { partition, epoch }: Epoch): Promise<PartitionState | undefined> {
  const { rows } = await db.query({
    name: 'read-partition',
    text: `
      SELECT settled_seq, dirty, redis_run_id FROM partitions JOIN partition_marks USING (id)
      WHERE id = $1 AND epoch = $2`,
    values: [partition, epoch],
  })
  const [row] = rows
  return row && { settledSeq: row.settled_seq, dirty: row.dirty, feedIdentity: row.redis_run_id }
}

/**
 * Says that the stream lacks something, before it is made again: after a crash in between nothing else would tell. Gives whether
 * it could be said; it cannot when the epoch has ended.
 */
export async function markBroken(db: Queryable, { partition, epoch }: Epoch): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'mark-broken',
    text: 'UPDATE partitions SET redis_run_id = NULL WHERE id = $1 AND epoch = $2',
    values: [partition, epoch],
  })
  return rowCount === 1
}

/**
 * Says how far the work on partitions is: everything up to `settledSeq` is settled, or waits in `retries`. An owner that
 * lives long enough to say so ends a row of crashes.
 */
export async function saveProgress(
  db: Queryable,
  progress: readonly (Epoch & { settledSeq: number })[],
): Promise<void> {
  await db.query({
    name: 'save-progress',
    text: `
      UPDATE partitions SET settled_seq = greatest(partitions.settled_seq, moved.settled_seq), crashes = 0
      FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS moved(id, epoch, settled_seq)
      JOIN (${lockEpochs('$1', '$2')}) AS locked USING (id)
      WHERE partitions.id = moved.id AND (partitions.settled_seq < moved.settled_seq OR crashes > 0)`,
    values: [progress.map((p) => p.partition), progress.map((p) => p.epoch), progress.map((p) => p.settledSeq)],
  })
}
