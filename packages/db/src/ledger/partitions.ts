/** `partitions`: owners, leases and watermarks. */
import type { Queryable } from '../server/connect.js'
import { IS_SAME_DATABASE, IS_SAME_HISTORY } from '../server/incarnation.js'
import { IS_ALIVE } from './workers.js'

/** A partition and the epoch in which its owner has it. */
export type Epoch = Pick<TakenPartition, 'partition' | 'epoch'>

/** The state by which the workers determine their shares, in one snapshot. */
export interface Ownership {
  /** Workers with a recent heartbeat, in the order of their ids. */
  workers: string[]
  partitions: { id: number; owner: string | null /** The lease has run out, or was given back. */; free: boolean }[]
}

/** Resolves with the number of partitions, which the first migration fixed. */
export async function countPartitions(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT count(*)::integer AS partitions FROM partitions')
  return rows[0].partitions
}

/**
 * Locks the rows of the partitions whose epoch still holds, in the order of their ids. Every statement that locks
 * several does so: otherwise two of them could deadlock.
 */
function lockEpochs(partitions: string, epochs: string): string {
  return `
    SELECT id FROM partitions JOIN unnest(${partitions}::smallint[], ${epochs}::bigint[]) AS held(id, epoch) USING (id, epoch)
    ORDER BY id FOR UPDATE OF partitions`
}

/** Renews leases. Resolves with the partitions whose lease still held; the others belong to another worker by now. */
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

/** Reads the living workers and the owners of the partitions, by the clock of the database. */
export async function readOwnership(db: Queryable): Promise<Ownership> {
  const { rows } = await db.query({
    name: 'read-ownership',
    text: `
      SELECT id, owner, owner IS NULL OR lease_expires_at < now() AS free,
             (SELECT coalesce(array_agg(worker_id ORDER BY worker_id), '{}') FROM workers
              WHERE groups IS NULL AND ${IS_ALIVE}) AS workers
      FROM partitions ORDER BY id`,
  })
  return { workers: rows[0]?.workers ?? [], partitions: rows.map(({ id, owner, free }) => ({ id, owner, free })) }
}

/** The count stops here: workers may crash at every start for weeks, and the column holds at most 32,767. */
const MAX_CRASHES = 1_000

/** A partition that was just taken. */
export interface TakenPartition {
  partition: number
  epoch: number
  /**
   * How many owners in a row did not give it back (their processes crashed, or lost their leases while processing),
   * since an owner last lived long enough to save its watermark.
   */
  crashes: number
}

/**
 * Takes free partitions, and resolves with those it got. A new epoch begins with each. A partition that another
 * transaction has locked (a rival, or the last batch of its old owner) is left for the next time. `reclaim`: also takes
 * partitions that this worker's id owned before a restart.
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

/** The state from which the owner of a partition begins. */
export interface PartitionState {
  /** The watermark: every event up to it is settled or in `retries`. */
  settledSeq: number
  /** Above 0: the partition has accepted events that are not in its stream. */
  dirty: number
  /** The identity of the feed that was last known to be whole; `null` when there is none. */
  feedIdentity: string | null
  /** The incarnation of the ledger: only entries that are sealed with its secret are ours. */
  incarnation: number
  /** Whether the server has the history of this incarnation. If not, the ledger needs a new incarnation. */
  sameHistory: boolean
}

/** Resolves with the state of a partition; undefined if the epoch has ended. */
export async function readPartition(db: Queryable, { partition, epoch }: Epoch): Promise<PartitionState | undefined> {
  const { rows } = await db.query({
    name: 'read-partition',
    text: `
      SELECT settled_seq, dirty, redis_run_id, (SELECT incarnation FROM ledger) AS incarnation,
             ${IS_SAME_HISTORY} AND ${IS_SAME_DATABASE} AS same_history
      FROM partitions JOIN partition_marks USING (id)
      WHERE id = $1 AND epoch = $2`,
    values: [partition, epoch],
  })
  const [row] = rows
  return (
    row && {
      settledSeq: row.settled_seq,
      dirty: row.dirty,
      feedIdentity: row.redis_run_id,
      incarnation: row.incarnation,
      sameHistory: row.same_history,
    }
  )
}

/**
 * Records that the stream lacks events. Call it before the stream is created again: after a crash in between, nothing
 * else would show the loss. Resolves with false if the epoch has ended.
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
 * Saves the watermarks of partitions: every event up to `settledSeq` is settled or in `retries`. Resets the count of
 * crashes, because the owner has lived long enough.
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
