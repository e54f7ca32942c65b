/** Who works on which partition: heartbeats, fair shares, leases. */
import {
  type Db,
  type Epoch,
  heartbeat,
  IDLE_TIMEOUT_MS,
  type Ownership,
  readOwnership,
  releasePartitions,
  removeWorker,
  renewLeases,
  type TakenPartition,
  takePartitions,
  type WorkerProcess,
} from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'
import type { Lane } from '../lane/lane.js'

/**
 * How often a worker looks for partitions that are free, and renews its own leases, as parts of the time of a lease.
 */
const LOOK_AFTER = 0.05
const RENEW_AFTER = 0.3

/**
 * How long a transaction of a worker may idle, in milliseconds: less than a lease, so that a process that was stopped
 * within one does not hold up the next owner, who waits for its locks.
 */
export function idleTimeoutOf(leaseMs: number): number {
  return Math.round(Math.min(IDLE_TIMEOUT_MS, 0.6 * leaseMs))
}

/**
 * What a worker should take and give back to have its fair share. Shares differ by one at the most; the workers that
 * come first by id have the larger ones. Only free partitions are taken, so shares move as fast as others give back.
 */
export function planOwnership(
  { workers, partitions }: Ownership,
  me: string,
  held: readonly number[],
): { take: number[]; giveBack: number[] } {
  const rank = workers.indexOf(me)
  if (rank < 0) return { take: [], giveBack: [] }
  const share = Math.floor(partitions.length / workers.length) + (rank < partitions.length % workers.length ? 1 : 0)
  if (held.length > share) return { take: [], giveBack: held.slice(share) }
  const free = partitions.filter((partition) => partition.free && !held.includes(partition.id)).map(({ id }) => id)
  return { take: free.slice(0, share - held.length), giveBack: [] }
}

export interface OwnershipDeps {
  db: Db
  worker: WorkerProcess
  lanes: readonly Lane[]
  log: Logger
}

export interface OwnershipLoop {
  /** The process that works under this worker's id in place of this one, if there is one. */
  rival(): { host: string; pid: number } | undefined
  /** Gives everything back, so that the next owner starts at once. Call it when the lanes have stopped. */
  stop(): Promise<void>
}

/**
 * Keeps this worker's share of the partitions in its lanes until stopped. Errors of Postgres are waited out; a lane is
 * not waited for, even one that is stuck.
 */
export function startOwnership({ db, worker, lanes, log }: OwnershipDeps): OwnershipLoop {
  const { leaseMs } = worker
  let hasId: boolean | undefined
  let rival: { host: string; pid: number } | undefined
  let reclaiming = true
  /** Partitions that the lanes are to drop, until that is done and they are given back. */
  const leaving = new Map<number, Promise<void>>()
  const held = () => lanes.flatMap((lane) => lane.held())

  /**
   * The process that was started last has the id. One that has lost it works on nothing, until the other one is gone.
   */
  async function claimId(): Promise<void> {
    rival = await heartbeat(db, worker, { takeOver: hasId === undefined })
    if (rival && hasId !== false) {
      log.error(
        { rival },
        `another process works under the id ${worker.id}; this one gives its partitions up. Give each worker an EVENTFLOW_WORKER_ID of its own`,
      )
    }
    if (!rival && hasId === false)
      log.warn('the other process under the id of this worker is gone; this one works again')
    hasId = !rival
  }

  async function renew(): Promise<void> {
    await claimId()
    const leases = held()
    if (leases.length === 0) return
    if (!hasId) return letGo(leases)
    const holding = await renewLeases(db, worker.id, leases, leaseMs)
    const lost = leases.filter(({ partition }) => !holding.has(partition))
    if (lost.length === 0) return
    log.warn({ partitions: idsOf(lost) }, 'leases were lost to another worker')
    letGo(lost)
  }

  async function rebalance(): Promise<void> {
    if (hasId === undefined) await claimId()
    if (!hasId) return
    const ownership = await readOwnership(db)
    const leases = held()
    const staying = idsOf(leases).filter((partition) => !leaving.has(partition))
    const { take, giveBack } = planOwnership(ownership, worker.id, staying)
    if (giveBack.length > 0) {
      letGo(leases.filter(({ partition }) => giveBack.includes(partition)))
      log.info({ partitions: giveBack }, 'giving partitions back')
    }
    // What this worker's id owned before a crash is its own to take at once: the fence keeps out what is left of that
    // process.
    const before = reclaiming ? ownership.partitions.filter(({ owner }) => owner === worker.id).map(({ id }) => id) : []
    // What is in a lane, or just leaving one, is not taken a second time: it could get into both lanes.
    const inHand = new Set([...idsOf(leases), ...leaving.keys()])
    const wanted = [...new Set([...take, ...before])].filter((id) => !inHand.has(id))
    const taken = wanted.length > 0 ? await takePartitions(db, worker.id, wanted, { reclaim: reclaiming, leaseMs }) : []
    adopt(taken)
    // One that was locked at that moment is asked for again.
    reclaiming = before.some((id) => wanted.includes(id) && !idsOf(taken).includes(id))
  }

  function adopt(taken: readonly TakenPartition[]): void {
    for (const partition of taken) {
      const [smallest] = [...lanes].sort((a, b) => a.held().length - b.held().length)
      smallest!.adopt(partition)
    }
    if (taken.length > 0) log.info({ partitions: idsOf(taken) }, 'partitions taken')
  }

  /**
   * Has the lanes drop partitions, and gives them back once they have. Only the stop waits for that: a lane that takes
   * its time must keep neither the other leases from being renewed nor other partitions from being taken.
   */
  function letGo(leases: readonly Epoch[]): void {
    for (const lease of leases) {
      const { partition } = lease
      if (leaving.has(partition)) continue
      const dropped = Promise.all(lanes.map((lane) => lane.drop(lease)))
      const gone = dropped
        .then(() => releasePartitions(db, [lease]))
        .catch((err) => log.warn({ err, partition }, 'a partition was not given back; its lease will run out'))
        .finally(() => leaving.delete(partition))
      leaving.set(partition, gone)
    }
  }

  const onError = (err: unknown) => log.warn({ err }, 'renewing or balancing the leases failed')
  const renewing = repeat(renew, { pauseMs: RENEW_AFTER * leaseMs, onError })
  const rebalancing = repeat(rebalance, { pauseMs: LOOK_AFTER * leaseMs, onError })

  return {
    rival: () => rival,
    async stop() {
      await Promise.all([renewing.stop(), rebalancing.stop()])
      await Promise.all(leaving.values())
      await releasePartitions(db, held())
      await removeWorker(db, worker)
    },
  }
}

const idsOf = (leases: readonly Epoch[]) => leases.map(({ partition }) => partition)
