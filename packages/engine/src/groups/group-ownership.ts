/**
 * Decides which worker reads which partition for which consumer group. A worker of the pipeline reads the partitions
 * that it owns, for every group that no worker reads alone; a worker that reads only some groups shares their partitions
 * with the others like it.
 */
import {
  type Db,
  type GroupLease,
  type GroupOwnership,
  readGroupOwnership,
  releaseGroupLeases,
  renewGroupLeases,
  type SeenLease,
  takeGroupLeases,
  type WantedLease,
} from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'
import { planOwnership } from '../ownership/ownership.js'
import type { GroupLane } from './group-lane.js'

/** How often a worker looks for free leases, and how often it renews its own, as fractions of the lease time. */
const REBALANCE_AFTER = 0.05
const RENEW_AFTER = 0.3

export interface GroupOwnershipDeps {
  db: Db
  workerId: string
  leaseMs: number
  lanes: readonly GroupLane[]
  /** The partitions that this worker owns in the pipeline; undefined for a worker that reads only some groups. */
  owned: (() => number[]) | undefined
  log: Logger
}

export interface GroupOwnershipLoop {
  /** Gives all leases back. Call it after the lanes have stopped. */
  stop(): Promise<void>
}

type Lease = Pick<GroupLease, 'groupId' | 'partition' | 'epoch'>

/**
 * Returns the partitions that this worker should take for a group, and the leases that its lane should drop: others
 * should have them, or have them already.
 */
export function sharesOf(
  { groups, dedicated }: GroupOwnership,
  { groupId, name, version }: Pick<GroupLane, 'groupId' | 'name' | 'version'>,
  me: string,
  leases: readonly Lease[],
  owned: readonly number[] | undefined,
): { take: number[]; giveBack: Lease[] } {
  const group = groups.get(groupId)
  if (!group || group.version > version) return { take: [], giveBack: [...leases] }
  const seen = new Map(group.leases.map((lease) => [lease.partition, lease]))
  const lost = leases.filter(({ partition, epoch }) => seen.get(partition)?.held !== epoch)
  const held = leases.filter((lease) => !lost.includes(lease)).map(({ partition }) => partition)
  // A lease in our name that no lane has is from before a restart: it can be taken again.
  const open = (lease: SeenLease) => lease.free || (lease.held !== null && !held.includes(lease.partition))
  const readers = dedicated.filter(({ groups }) => groups.includes(name)).map(({ worker }) => worker)
  const partitions = group.leases.map((lease) => ({ id: lease.partition, owner: null, free: open(lease) }))
  const plan = owned
    ? followPlan(partitions, held, readers.length > 0 ? [] : owned)
    : planOwnership({ workers: readers, partitions }, me, held)
  return {
    take: plan.take,
    giveBack: [
      ...lost,
      ...leases.filter(({ partition }) => plan.giveBack.includes(partition) && held.includes(partition)),
    ],
  }
}

/** Reads exactly the partitions that this worker owns in the pipeline. */
function followPlan(
  partitions: readonly { id: number; free: boolean }[],
  held: readonly number[],
  owned: readonly number[],
) {
  return {
    take: partitions.filter(({ id, free }) => free && owned.includes(id) && !held.includes(id)).map(({ id }) => id),
    giveBack: held.filter((id) => !owned.includes(id)),
  }
}

/** Keeps this worker's share of each group in its lanes until stopped. Errors of Postgres are logged and tried again. */
export function startGroupOwnership(deps: GroupOwnershipDeps): GroupOwnershipLoop {
  const { db, workerId, leaseMs, lanes, owned, log } = deps
  /** Leases that the lanes were asked to drop and that are not yet given back, by group and partition. */
  const leaving = new Map<string, Promise<void>>()
  const nameOf = ({ groupId, partition }: WantedLease) => `${groupId}/${partition}`

  async function rebalance(): Promise<void> {
    const ids = lanes.map(({ groupId }) => groupId)
    const ownership = await readGroupOwnership(db, workerId, ids)
    const wanted: WantedLease[] = []
    for (const lane of lanes) {
      const { groupId } = lane
      const staying = lane.leases().filter((lease) => !leaving.has(nameOf(lease)))
      const { take, giveBack } = sharesOf(ownership, lane, workerId, staying, owned?.())
      for (const lease of giveBack) letGo(lane, lease)
      for (const partition of take)
        if (!leaving.has(nameOf({ groupId, partition }))) wanted.push({ groupId, partition })
    }
    if (wanted.length === 0) return
    const taken = await takeGroupLeases(db, workerId, wanted, leaseMs)
    for (const lease of taken) lanes.find(({ groupId }) => groupId === lease.groupId)!.adopt(lease)
  }

  /** A lease that is lost is noticed by `rebalance`. */
  async function renew(): Promise<void> {
    const leases = lanes.flatMap((lane) => lane.leases())
    if (leases.length > 0) await renewGroupLeases(db, workerId, leases, leaseMs)
  }

  /** Only `stop` waits for the lane: a slow handler must not delay the renewal of other leases. */
  function letGo(lane: GroupLane, lease: Lease): void {
    const name = nameOf(lease)
    if (leaving.has(name)) return
    const gone = lane
      .drop(lease)
      .then(() => releaseGroupLeases(db, workerId, [lease]))
      .catch((err) => log.warn({ err, group: lane.name, partition: lease.partition }, 'a lease was not given back'))
      .finally(() => leaving.delete(name))
    leaving.set(name, gone)
  }

  const onError = (err: unknown) => log.warn({ err }, 'renewing or sharing the leases of consumer groups failed')
  const renewing = repeat(renew, { pauseMs: RENEW_AFTER * leaseMs, onError })
  const rebalancing = repeat(rebalance, { pauseMs: REBALANCE_AFTER * leaseMs, onError })

  return {
    async stop() {
      await Promise.all([renewing.stop(), rebalancing.stop()])
      await Promise.all(leaving.values())
      const leases = lanes.flatMap((lane) => lane.leases())
      if (leases.length > 0) await releaseGroupLeases(db, workerId, leases)
    },
  }
}
