/**
 * A lane: one loop that reads, processes and settles the partitions it was given, one batch after the other. Two lanes
 * keep Postgres busy with one batch while the next is processed; a partition is only ever in one lane, so its events are
 * never in two batches at once.
 *
 * A partition is *adopted* (its retries are loaded, what its last owner had in hand is claimed) → *read* → *dropped*, when
 * it is released or its lease is found broken. After an error of Redis every partition is adopted again, because anything
 * may have been lost in between.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Delivery, decodeEvent, type Outcome, parseEvent } from '@eventflow/core'
import { type Db, type Lease, readRetries } from '@eventflow/db'
import type { Logger, Metrics } from '@eventflow/runtime'
import {
  acknowledge,
  claimPending,
  type Entry,
  ensureGroups,
  MAX_BLOCK_MS,
  type Redis,
  readNew,
  removeIdleConsumers,
} from '@eventflow/stream'
import { createKeys, type Keys } from './keys.js'
import { type ProcessDeps, processBatch } from './process.js'
import { type SettleDeps, type Settlement, settleBatch } from './settle.js'
import { tell } from './tell.js'

/** Events that one batch holds, about: larger transactions are no faster. */
const BATCH = 1_000

/** How long a lane pauses after an error of Postgres or Redis, in milliseconds; doubled up to the last. */
const PAUSES_MS = [50, 100, 200, 400, 800, 1_600, 3_000]

export interface LaneDeps extends ProcessDeps, SettleDeps {
  db: Db
  /** For blocking reads only. */
  reader: Redis
  redis: Redis
  prefix: string
  workerId: string
  log: Logger
  metrics: Metrics
  /** Events of a partition that may wait in memory; beyond it the partition is not read. */
  maxWaiting: number
}

export interface Lane {
  /** Begins to work on a partition. */
  adopt(lease: Lease): void
  /** Resolves when the partition is not worked on any more. */
  drop(partition: number): Promise<void>
  /** The leases it works under. */
  leases(): Lease[]
  /** Finishes the batch in hand and ends. */
  stop(): Promise<void>
}

interface Partition {
  lease: Lease
  keys: Keys
  adopted: boolean
}

export function startLane(deps: LaneDeps): Lane {
  const { db, reader, redis, prefix, workerId, log, metrics, maxWaiting, orderOf } = deps
  const partitions = new Map<number, Partition>()
  const dropping = new Map<number, () => void>()
  const stopping = new AbortController()
  let wake = () => {}
  let readerId: number | undefined

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      try {
        dropAsked()
        for (const partition of partitions.values()) if (!partition.adopted) await adoptNow(partition)
        const deliveries = await next()
        if (deliveries.length > 0) await work(deliveries)
        failures = 0
      } catch (error) {
        log.warn({ err: error }, 'the lane was interrupted; it will take its partitions up again')
        for (const partition of partitions.values()) partition.adopted = false
        await pause(failures++)
      }
    }
    dropAsked()
  }

  function dropAsked(): void {
    for (const [partition, done] of dropping) {
      partitions.delete(partition)
      done()
    }
    dropping.clear()
  }

  /** Loads what waits in Postgres first, so that nothing overtakes it; then works off what the last owner had in hand. */
  async function adoptNow(partition: Partition): Promise<void> {
    const id = partition.lease.partition
    partition.keys = createKeys(orderOf)
    const now = performance.now()
    for (const { event, attempts, history, dueInMs } of await readRetries(db, id)) {
      partition.keys.hold({ event: parseEvent(event), entryIds: [], attempts, history }, now + dueInMs)
    }
    await ensureGroups(redis, prefix, [id])
    const claimed = await claimPending(redis, prefix, workerId, id)
    metrics.entriesClaimed.inc(claimed.length)
    for (let from = 0; from < claimed.length && partitions.has(id); from += BATCH) {
      const deliveries = await admit(claimed.slice(from, from + BATCH))
      if (deliveries.length > 0) await work(deliveries)
    }
    await removeIdleConsumers(redis, prefix, workerId, id)
    partition.adopted = true
  }

  /** What is to be done next: retries that are due, or else new entries; waits for them at most MAX_BLOCK_MS. */
  async function next(): Promise<Delivery[]> {
    const now = performance.now()
    const due = [...partitions.values()].flatMap(({ keys }) => keys.takeDue(now))
    if (due.length > 0) return due
    const untilDue = Math.min(...[...partitions.values()].map(({ keys }) => keys.nextDue())) - now
    const waitMs = Math.max(1, Math.ceil(Math.min(untilDue, MAX_BLOCK_MS)))
    const open = [...partitions.values()].filter(({ keys }) => keys.size() < maxWaiting)
    if (open.length === 0) {
      await sleep(waitMs)
      return []
    }
    const count = Math.max(50, Math.floor(BATCH / open.length))
    return admit(
      await read(
        open.map(({ lease }) => lease.partition),
        count,
        waitMs,
      ),
    )
  }

  async function read(ids: number[], count: number, blockMs: number): Promise<Entry[]> {
    readerId ??= Number(await reader.client('ID'))
    wake = () => void redis.client('UNBLOCK', readerId!).catch(() => {})
    if (dropping.size > 0 || stopping.signal.aborted) return []
    try {
      return await readNew(reader, prefix, workerId, ids, { count, blockMs })
    } catch (error) {
      readerId = undefined
      throw error
    } finally {
      wake = () => {}
    }
  }

  async function sleep(ms: number): Promise<void> {
    const waking = new AbortController()
    wake = () => waking.abort()
    await delay(ms, undefined, { signal: AbortSignal.any([waking.signal, stopping.signal]) }).catch(() => {})
    wake = () => {}
  }

  /** Entries as deliveries that may be processed now. An entry that is no event is a hint that says nothing: it is removed. */
  async function admit(entries: readonly Entry[]): Promise<Delivery[]> {
    const unreadable: Entry[] = []
    const byPartition = new Map<number, Delivery[]>()
    for (const entry of entries) {
      const delivery = decode(entry)
      if (!delivery) unreadable.push(entry)
      else if (byPartition.has(entry.partition)) byPartition.get(entry.partition)!.push(delivery)
      else byPartition.set(entry.partition, [delivery])
    }
    if (unreadable.length > 0) {
      log.warn({ entries: unreadable.map(({ partition, id }) => ({ partition, id })) }, 'entries that are no events')
      for (const { partition, id } of unreadable) await acknowledge(redis, prefix, new Map([[partition, [id]]]))
    }
    return [...byPartition].flatMap(([id, deliveries]) => partitions.get(id)?.keys.admit(deliveries) ?? [])
  }

  /** The event's path: process, settle, acknowledge. */
  async function work(deliveries: readonly Delivery[]): Promise<void> {
    const startedAt = performance.now()
    const outcomes = await processBatch(deliveries, deps)
    const settlement = await settleUntilDone(outcomes, startedAt)
    if (!settlement) return
    keepHeld(settlement)
    tell(settlement, startedAt, log, metrics)
    await acknowledgeSettled(settlement)
  }

  /** While Postgres is away the batch is kept and tried again: an outage is no failure of any event. */
  async function settleUntilDone(outcomes: readonly Outcome[], startedAt: number): Promise<Settlement | undefined> {
    for (let failures = 0; ; failures++) {
      try {
        const leases = new Map([...partitions].map(([id, { lease }]) => [id, lease]))
        return await settleBatch(outcomes, leases, startedAt, deps)
      } catch (error) {
        log.warn({ err: error, events: outcomes.length }, 'settling failed; the batch is kept and tried again')
        if (stopping.signal.aborted) return undefined
        await pause(failures)
      }
    }
  }

  function keepHeld({ held, broken }: Settlement): void {
    for (const id of broken) {
      metrics.fencedWrites.inc()
      partitions.delete(id)
    }
    const now = performance.now()
    for (const { delivery, delayMs } of held) {
      partitions.get(delivery.event.partition)?.keys.hold(delivery, now + delayMs)
    }
  }

  async function acknowledgeSettled({ committed, dead, retried }: Settlement): Promise<void> {
    const entries = new Map<number, string[]>()
    for (const { delivery } of [...committed, ...dead, ...retried]) {
      if (delivery.entryIds.length === 0) continue
      const ids = entries.get(delivery.event.partition)
      if (ids) ids.push(...delivery.entryIds)
      else entries.set(delivery.event.partition, [...delivery.entryIds])
    }
    if (entries.size > 0) await acknowledge(redis, prefix, entries)
  }

  async function pause(failures: number): Promise<void> {
    const ms = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]!
    await delay(ms, undefined, { signal: stopping.signal }).catch(() => {})
  }

  const running = run()

  return {
    adopt(lease) {
      partitions.set(lease.partition, { lease, keys: createKeys(orderOf), adopted: false })
      wake()
    },
    async drop(partition) {
      if (!partitions.has(partition)) return
      const dropped = new Promise<void>((resolve) => dropping.set(partition, resolve))
      wake()
      await Promise.race([dropped, running])
    },
    leases: () => [...partitions.values()].map(({ lease }) => lease),
    async stop() {
      stopping.abort()
      wake()
      await running
    },
  }
}

function decode({ id, text }: Entry): Delivery | undefined {
  try {
    return { event: decodeEvent(text ?? ''), entryIds: [id], attempts: 0, history: [] }
  } catch {
    return undefined
  }
}
