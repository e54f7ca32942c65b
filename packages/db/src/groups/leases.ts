/** `group_leases`: which worker reads which partition for a consumer group. */
import { IS_ALIVE } from '../ledger/workers.js'
import type { Queryable } from '../server/connect.js'

/** The right of a worker to read a partition for a group. */
export interface GroupLease {
  groupId: number
  partition: number
  /** Rises with every change of owner. */
  epoch: number
  /** How many owners in a row did not give it back, since one last lived long enough to renew it. */
  crashes: number
}

/** A lease as a worker sees it. `held`: its epoch, if the worker has it. */
export interface SeenLease {
  partition: number
  free: boolean
  held: number | null
}

/** The state by which workers share the partitions of groups. */
export interface GroupOwnership {
  /** The groups that exist, by their ids. */
  groups: Map<number, { version: number; leases: SeenLease[] }>
  /** The living workers that read only some groups, with the names of those. */
  dedicated: { worker: string; groups: string[] }[]
}

/** Reads the leases of these groups, and the workers that read only some groups. */
export async function readGroupOwnership(
  db: Queryable,
  workerId: string,
  groupIds: readonly number[],
): Promise<GroupOwnership> {
  const { rows } = await db.query({
    name: 'read-group-leases',
    text: `
      SELECT group_id, version, partition, owner IS NULL OR lease_expires_at < now() AS free,
             CASE WHEN owner = $1 THEN epoch END AS held
      FROM consumer_groups JOIN group_leases USING (group_id) WHERE group_id = ANY($2::bigint[])
      ORDER BY group_id, partition`,
    values: [workerId, groupIds],
  })
  const groups: GroupOwnership['groups'] = new Map()
  for (const { group_id: id, version, ...lease } of rows) {
    if (!groups.has(id)) groups.set(id, { version, leases: [] })
    groups.get(id)!.leases.push(lease as SeenLease)
  }
  const workers = await db.query({
    name: 'read-dedicated-workers',
    text: `SELECT worker_id AS worker, groups FROM workers WHERE groups IS NOT NULL AND ${IS_ALIVE} ORDER BY worker_id`,
  })
  return { groups, dedicated: workers.rows }
}

const LEASES = `unnest($2::bigint[], $3::smallint[]) AS wanted(group_id, partition)`

/** A lease that a worker wants. */
export type WantedLease = Pick<GroupLease, 'groupId' | 'partition'>

type HeldLease = WantedLease & Pick<GroupLease, 'epoch'>

/** The count stops here: the column holds no more than 32,767. */
const MAX_CRASHES = 1_000

const columnsOf = (leases: readonly WantedLease[]) => [
  leases.map((lease) => lease.groupId),
  leases.map((lease) => lease.partition),
]

/**
 * Takes leases that are free or already belong to this worker's id, and resolves with those it got, each with a new
 * epoch. A lease that another transaction has locked is left for the next time.
 */
export async function takeGroupLeases(
  db: Queryable,
  workerId: string,
  wanted: readonly WantedLease[],
  leaseMs: number,
): Promise<GroupLease[]> {
  const { rows } = await db.query({
    name: 'take-group-leases',
    text: `
      WITH free AS (
        SELECT group_id, partition, owner FROM group_leases JOIN ${LEASES} USING (group_id, partition)
        WHERE owner IS NULL OR owner = $1 OR lease_expires_at < now()
        ORDER BY group_id, partition FOR UPDATE OF group_leases SKIP LOCKED)
      UPDATE group_leases l
      SET owner = $1, epoch = epoch + 1, lease_expires_at = now() + $4 * interval '1 millisecond',
          crashes = least(crashes + (free.owner IS NOT NULL)::int, ${MAX_CRASHES})
      FROM free WHERE l.group_id = free.group_id AND l.partition = free.partition
      RETURNING l.group_id, l.partition, l.epoch, l.crashes`,
    values: [workerId, ...columnsOf(wanted), leaseMs],
  })
  return rows.map((row) => ({
    groupId: row.group_id,
    partition: row.partition,
    epoch: row.epoch,
    crashes: row.crashes,
  }))
}

// In a fixed order, as every statement that locks several leases: two of them could deadlock otherwise.
const HELD = `
  SELECT group_id, partition FROM group_leases
  JOIN unnest($2::bigint[], $3::smallint[], $4::bigint[]) AS held(group_id, partition, epoch)
    USING (group_id, partition, epoch)
  WHERE owner = $1 ORDER BY group_id, partition FOR UPDATE OF group_leases`

const changeHeld = (db: Queryable, name: string, set: string, workerId: string, leases: readonly HeldLease[]) =>
  db.query({
    name,
    text: `
      WITH held AS (${HELD})
      UPDATE group_leases l SET ${set} FROM held WHERE l.group_id = held.group_id AND l.partition = held.partition`,
    values: [workerId, ...columnsOf(leases), leases.map((lease) => lease.epoch)],
  })

/** Renews the leases that still hold. `proven`: the owner has lived long enough, so its crashes are forgotten. */
export async function renewGroupLeases(
  db: Queryable,
  workerId: string,
  leases: readonly (HeldLease & { proven: boolean })[],
  leaseMs: number,
): Promise<void> {
  const set = `lease_expires_at = now() + ${leaseMs} * interval '1 millisecond'`
  const [proven, others] = [leases.filter((lease) => lease.proven), leases.filter((lease) => !lease.proven)]
  if (proven.length > 0) await changeHeld(db, 'renew-proven-group-leases', `${set}, crashes = 0`, workerId, proven)
  if (others.length > 0) await changeHeld(db, 'renew-group-leases', set, workerId, others)
}

/** Gives leases back, so that the next owner can start at once. */
export async function releaseGroupLeases(db: Queryable, workerId: string, leases: readonly HeldLease[]): Promise<void> {
  await changeHeld(db, 'release-group-leases', 'owner = NULL', workerId, leases)
}
