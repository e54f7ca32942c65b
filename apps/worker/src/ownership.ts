/** Who works on which partition: heartbeats, fair shares, leases. */
import {
  type Db,
  heartbeat,
  type Ownership,
  readOwnership,
  releasePartitions,
  removeWorker,
  renewLeases,
  type TakenPartition,
  takePartitions,
} from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import type { Lane } from './loop.js'

/** How often a worker looks for partitions that are free, and renews its own leases, in milliseconds. */
const LOOK_MS = 500
const RENEW_MS = 3_000

/**
 * What a worker should take and give back to have its fair share. Shares differ by one at the most; the workers that come
 * first by id have the larger ones. Only free partitions are taken, so shares move as fast as others give back.
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
  worker: { id: string; host: string; pid: number }
  lanes: readonly Lane[]
  log: Logger
}

export interface OwnershipLoop {
  /** Gives everything back, so that the next owner starts at once. Call it when the lanes have stopped. */
  stop(): Promise<void>
}

/** Keeps this worker's share of the partitions in its lanes until stopped. Errors of Postgres are waited out. */
export function startOwnership({ db, worker, lanes, log }: OwnershipDeps): OwnershipLoop {
  let reclaiming = true
  const held = () => lanes.flatMap((lane) => lane.held())

  async function renew(): Promise<void> {
    await heartbeat(db, worker)
    const leases = held()
    if (leases.length === 0) return
    const holding = await renewLeases(db, worker.id, leases)
    const lost = leases.map(({ partition }) => partition).filter((partition) => !holding.has(partition))
    if (lost.length === 0) return
    log.warn({ partitions: lost }, 'leases were lost to another worker')
    await drop(lost)
  }

  async function rebalance(): Promise<void> {
    const ownership = await readOwnership(db)
    const { take, giveBack } = planOwnership(
      ownership,
      worker.id,
      held().map(({ partition }) => partition),
    )
    if (giveBack.length > 0) await giveBackDrained(giveBack)
    // What this worker's id owned before a crash is its own to take at once: the fence keeps out what is left of that process.
    const before = reclaiming ? ownership.partitions.filter(({ owner }) => owner === worker.id).map(({ id }) => id) : []
    const wanted = [...take, ...before]
    const taken = wanted.length > 0 ? await takePartitions(db, worker.id, wanted, { reclaim: reclaiming }) : []
    adopt(taken)
    // One that was locked at that moment is asked for again.
    reclaiming = before.some((id) => !taken.some(({ partition }) => partition === id))
  }

  function adopt(taken: readonly TakenPartition[]): void {
    for (const partition of taken) {
      const [smallest] = [...lanes].sort((a, b) => a.held().length - b.held().length)
      smallest!.adopt(partition)
    }
    if (taken.length > 0) log.info({ partitions: taken.map(({ partition }) => partition) }, 'partitions taken')
  }

  async function giveBackDrained(partitions: readonly number[]): Promise<void> {
    const leases = held().filter(({ partition }) => partitions.includes(partition))
    await drop(partitions)
    await releasePartitions(db, leases)
    log.info({ partitions }, 'partitions given back')
  }

  async function drop(partitions: readonly number[]): Promise<void> {
    await Promise.all(partitions.flatMap((partition) => lanes.map((lane) => lane.drop(partition))))
  }

  // Each by itself: a lane that takes its time to drop a partition must not keep the other leases from being renewed.
  const renewing = repeat(renew, RENEW_MS, log)
  const rebalancing = repeat(rebalance, LOOK_MS, log)

  return {
    async stop() {
      await Promise.all([renewing.stop(), rebalancing.stop()])
      await releasePartitions(db, held())
      await removeWorker(db, worker.id)
    },
  }
}

/** Runs `step` now and then again and again, `pauseMs` after it has ended. `stop` waits for a step under way. */
function repeat(step: () => Promise<void>, pauseMs: number, log: Logger): { stop(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const run = async () => {
    await step().catch((err) => log.warn({ err }, 'looking after the leases failed'))
    if (!stopped) timer = setTimeout(start, pauseMs)
  }
  let running = run()
  function start() {
    running = run()
  }
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
