/** Decides which worker owns which partition: heartbeats, fair shares, leases. */
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
 * How often a worker looks for free partitions, and how often it renews its own leases, as fractions of the lease time.
 */
const REBALANCE_AFTER = 0.05
const RENEW_AFTER = 0.3

/**
 * Returns how long a worker's transaction may idle, in milliseconds. It is less than a lease: otherwise a process that
 * was suspended inside a transaction would delay the next owner, which waits for its locks.
 */
export function idleTimeoutOf(leaseMs: number): number {
  return Math.round(Math.min(IDLE_TIMEOUT_MS, 0.6 * leaseMs))
}

/**
 * Returns the ids of the partitions that a worker should take and give back to reach its fair share. Shares differ by
 * at most one; workers with lower ids get the larger shares. A worker takes only free partitions, so it can take no
 * more than the others have given back. Both lists are empty if the worker is not among the living.
 */
export function planOwnership(
  { workers, partitions }: Ownership,
  me: string,
  owned: readonly number[],
): { take: number[]; giveBack: number[] } {
  const rank = workers.indexOf(me)
  if (rank < 0) return { take: [], giveBack: [] }
  const share = Math.floor(partitions.length / workers.length) + (rank < partitions.length % workers.length ? 1 : 0)
  if (owned.length > share) return { take: [], giveBack: owned.slice(share) }
  const free = partitions.filter((partition) => partition.free && !owned.includes(partition.id)).map(({ id }) => id)
  return { take: free.slice(0, share - owned.length), giveBack: [] }
}

export interface OwnershipDeps {
  db: Db
  worker: WorkerProcess
  lanes: readonly Lane[]
  log: Logger
}

export interface OwnershipLoop {
  /** The process that works under this worker's id instead of this one, if any. */
  rival(): { host: string; pid: number } | undefined
  /** Gives all partitions back, so that the next owner starts at once. Call it after the lanes have stopped. */
  stop(): Promise<void>
}

/**
 * Keeps this worker's share of the partitions in its lanes until stopped. Errors of Postgres are logged and tried
 * again. It does not wait for lanes, so a stuck lane does not stop it.
 */
export function startOwnership({ db, worker, lanes, log }: OwnershipDeps): OwnershipLoop {
  const { leaseMs } = worker
  let hasId: boolean | undefined
  let rival: { host: string; pid: number } | undefined
  let reclaiming = true
  /** Partitions that the lanes were asked to drop and that are not yet given back. */
  const leaving = new Map<number, Promise<void>>()
  const owned = () => lanes.flatMap((lane) => lane.partitions())

  /**
   * If two processes use one id, the one that started last gets it. A process that has lost its id works on nothing
   * until the other is gone.
   */
  async function claimId(): Promise<void> {
    rival = await heartbeat(db, worker, { takeOver: hasId === undefined })
    if (rival && hasId !== false) {
      log.error(
        { rival },
        `another process works under the id ${worker.id}, so this one gives its partitions up. Set a different EVENTFLOW_WORKER_ID for each worker`,
      )
    }
    if (!rival && hasId === false)
      log.warn('the other process under the id of this worker is gone; this one works again')
    hasId = !rival
  }

  async function renew(): Promise<void> {
    await claimId()
    const leases = owned()
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
    const leases = owned()
    const staying = idsOf(leases).filter((partition) => !leaving.has(partition))
    const { take, giveBack } = planOwnership(ownership, worker.id, staying)
    if (giveBack.length > 0) {
      letGo(leases.filter(({ partition }) => giveBack.includes(partition)))
      log.info({ partitions: giveBack }, 'giving partitions back')
    }
    // Partitions that this worker's id owned before a crash can be taken at once: the fence stops late writes of the
    // crashed process.
    const before = reclaiming ? ownership.partitions.filter(({ owner }) => owner === worker.id).map(({ id }) => id) : []
    // Partitions that a lane owns or is just dropping are not taken again: they could end up in two lanes.
    const inHand = new Set([...idsOf(leases), ...leaving.keys()])
    const wanted = [...new Set([...take, ...before])].filter((id) => !inHand.has(id))
    const taken = wanted.length > 0 ? await takePartitions(db, worker.id, wanted, { reclaim: reclaiming, leaseMs }) : []
    adopt(taken)
    // A partition whose row was locked just now is tried again.
    reclaiming = before.some((id) => wanted.includes(id) && !idsOf(taken).includes(id))
  }

  function adopt(taken: readonly TakenPartition[]): void {
    for (const partition of taken) {
      const [smallest] = [...lanes].sort((a, b) => a.partitions().length - b.partitions().length)
      smallest!.adopt(partition)
    }
    if (taken.length > 0) log.info({ partitions: idsOf(taken) }, 'partitions taken')
  }

  /**
   * Asks the lanes to drop partitions, and gives these back once they are dropped. Only `stop` waits for that: a slow
   * lane must not delay renewing the other leases or taking other partitions.
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
  const rebalancing = repeat(rebalance, { pauseMs: REBALANCE_AFTER * leaseMs, onError })

  return {
    rival: () => rival,
    async stop() {
      await Promise.all([renewing.stop(), rebalancing.stop()])
      await Promise.all(leaving.values())
      await releasePartitions(db, owned())
      await removeWorker(db, worker)
    },
  }
}

const idsOf = (leases: readonly Epoch[]) => leases.map(({ partition }) => partition)
