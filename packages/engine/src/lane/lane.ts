/**
 * A lane: one loop that takes the next events of its partitions, processes and settles them, one batch after the other. Two
 * lanes keep Postgres busy with one batch while the next is processed; a partition is only ever in one lane, so its events
 * are never in two batches at once.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Delivery } from '@eventflow/core'
import { type Arrivals, type Epoch, findDirty, readArrivals, type TakenPartition } from '@eventflow/db'
import { MAX_BLOCK_MS, removeIdleConsumers } from '@eventflow/redis'
import { traceReceived } from '../batch/trace.js'
import { findUnpublished, giveUpFarBehind, saveWatermarks, takeUpNext } from '../partition/catch-up.js'
import { takeUpRetries } from '../partition/due-retries.js'
import { aimForStream, begin, joinStream, newPartition, type Partition } from '../partition/partition.js'
import { asHeld, type HeldPartition } from '../partition/partition-view.js'
import { createProgress, type Progress } from './activity.js'
import { watchConnections } from './connections.js'
import { pause } from './pause.js'
import { createIntake, type IntakeDeps } from './read.js'
import { suspectsAfter } from './suspects.js'
import { createWork, type WorkDeps } from './work.js'

/** How long Postgres is left alone after it gave all it had, in milliseconds. */
const POLL_MS = 100

/** Replayed events that are taken up at once. */
const RETRIES_AT_ONCE = 250

/** How often a lane looks for what others have written: replays in `retries`, marks of what was not published. */
const LOOK_AROUND_MS = 1_000

/** How often a lane looks for events that were never published, and moves the watermarks on, in milliseconds. */
const LOOK_AFTER_MS = 5_000

export interface LaneDeps extends WorkDeps, IntakeDeps {
  /** Events of a partition that may wait in memory; beyond it nothing more of the partition is taken. */
  maxWaiting: number
  /** The same for the data of the events of all its partitions, of which each has an equal part. */
  maxWaitingBytes: number
}

export interface Lane {
  /** Begins to work on a partition. */
  adopt(taken: TakenPartition): void
  /** Resolves when the partition is not worked on any more under this lease; under a later one it may be. */
  drop(lease: Epoch): Promise<void>
  /** What it works on. */
  held(): HeldPartition[]
  /** What it is doing just now. */
  doing: Progress['state']
  /** Finishes the batch in hand and ends. */
  stop(): Promise<void>
}

export function startLane(deps: LaneDeps): Lane {
  const { db, reader, redis, prefix, log, tracing, maxWaiting, maxWaitingBytes } = deps
  const partitions = new Map<number, Partition>()
  const stopping = new AbortController()
  const progress = createProgress()
  const work = createWork(deps, { partitions, stopping: stopping.signal, progress, dropAsked })
  const dropping = new Map<Partition, { done: Promise<void>; resolve: () => void }>()
  let lookedAfterAt = performance.now()
  let lookAtPostgresAt = 0
  let lookAroundAt = 0
  /** Redis has refused to make a stream: until then it is not asked again. */
  let aimAt = 0
  /** How far acceptance had come when the lane last looked around. */
  let arrivals: Arrivals = { lastSeq: 0, severalTenants: false }
  let wake = () => {}
  // Between two connections anything may have been lost, also when no command noticed. A batch in hand ends as it began.
  const connections = watchConnections([reader, redis])
  const intake = createIntake(deps, partitions, connections)

  const inSource = (source: Partition['source']) => [...partitions.values()].filter((p) => p.source === source)
  const hasRoom = ({ keys }: Partition) => keys.size() < maxWaiting && keys.bytes() < maxWaitingBytes / partitions.size
  const partitionDeps = { ...deps, hasRoom, losses: connections.losses }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      try {
        progress.begin('looking for events')
        dropAsked()
        for (const partition of inSource('stream')) {
          if (!intake.isUnbroken(partition)) beginAgain(partition)
          else if (partition.behind) partition.source = 'new'
        }
        await lookAround()
        for (const partition of [...inSource('new'), ...inSource('retries').filter(hasRoom)])
          await beginOrDrop(partition)
        await lookAfter()
        await work(await next())
        failures = 0
      } catch (error) {
        progress.failed(error)
        log.warn({ err: error }, 'a lane was interrupted; it begins its partitions again')
        for (const partition of partitions.values()) beginAgain(partition)
        await pause(failures++, stopping.signal)
      }
    }
    dropAsked()
  }

  /** What was in hand of the partitions is given up. */
  function dropAsked(): void {
    for (const [partition, { resolve }] of dropping) {
      partition.source = 'new'
      // It may have been given up, and taken again, meanwhile.
      if (partitions.get(partition.id) === partition) partitions.delete(partition.id)
      resolve()
    }
    dropping.clear()
  }

  async function beginOrDrop(partition: Partition): Promise<void> {
    // It may have been dropped while another one was begun.
    if (partitions.get(partition.id) !== partition) return
    if (!(await begin(partition, partitionDeps))) partitions.delete(partition.id)
    else if (partition.source === 'stream') await claim(partition)
    else if (partition.source === 'postgres')
      log.debug({ partition: partition.id, reason: partition.reason }, 'catching up from Postgres')
  }

  function beginAgain(partition: Partition): void {
    partition.source = 'new'
    partition.interrupted = true
  }

  /** What is to be done next: retries that are due, unsettled events from Postgres, entries of streams; waits for the first. */
  async function next(): Promise<Delivery[]> {
    // What is due may have to wait again, and still counts as what waits.
    const roomy = new Set([...partitions.values()].filter(hasRoom))
    const due = [...partitions.values()].flatMap(({ keys }) => keys.takeDue(performance.now()))
    const ready = await catchUp(due, roomy)
    const waitMs = ready.length > 0 ? 0 : Math.max(1, Math.ceil(nextAt() - performance.now()))
    const streaming = inSource('stream').filter((partition) => roomy.has(partition))
    if (streaming.length > 0) return [...ready, ...(await readStreams(streaming, waitMs))]
    if (waitMs > 0) await sleep(waitMs)
    return ready
  }

  /** When there is something to do that no stream entry announces, on the monotonic clock; soon enough to notice all else. */
  function nextAt(): number {
    const due = Math.min(...[...partitions.values()].map(({ keys }) => keys.nextDue()))
    const atMost = performance.now() + Math.min(MAX_BLOCK_MS, LOOK_AROUND_MS)
    return Math.min(due, atMost, inSource('postgres').some(hasRoom) ? lookAtPostgresAt : atMost)
  }

  /** Adds the next events of partitions in *postgres* to those that are ready; partitions that are level go to their streams. */
  async function catchUp(ready: Delivery[], roomy: ReadonlySet<Partition>): Promise<Delivery[]> {
    const behind = inSource('postgres').filter((partition) => roomy.has(partition))
    if (behind.length === 0 || performance.now() < lookAtPostgresAt) return ready
    if (redis.status === 'ready' && performance.now() >= aimAt) {
      for (const partition of behind) {
        if (partition.target || (await aimForStream(partition, partitionDeps))) continue
        aimAt = performance.now() + LOOK_AROUND_MS
      }
    }
    const { deliveries, reached, more } = await takeUpNext(behind, arrivals.severalTenants, deps)
    if (!more) lookAtPostgresAt = performance.now() + POLL_MS
    if (reached.length === 0) return [...ready, ...deliveries]
    // Whoever goes to the stream must have settled, or hold, what came before it.
    await work([...ready, ...deliveries])
    for (const partition of reached) {
      if (!(await joinStream(partition, partitionDeps))) continue
      const { id, reason, caughtUp } = partition
      if (caughtUp > 0) log.info({ partition: id, reason, events: caughtUp }, 'caught up from Postgres')
      await claim(partition)
    }
    return []
  }

  /** Takes over what is pending in a partition's stream: what its last owner, or this lane before an error, had in hand. */
  async function claim(partition: Partition): Promise<void> {
    for await (const claimed of intake.claim(partition)) {
      await work(await intake.admit(claimed))
      if (partition.source !== 'stream') return
    }
    if (!intake.isUnbroken(partition)) return beginAgain(partition)
    if (partition.suspects > 0) await workOnOtherSuspects(partition)
    if (partition.source !== 'stream') return
    partition.suspects = 0
    await removeIdleConsumers(redis, prefix, intake.consumer(), partition.id)
  }

  /** Events that wait, or were never published, are pending in no stream; the last owners may have died of one of them all the same. */
  async function workOnOtherSuspects(partition: Partition): Promise<void> {
    await work(partition.keys.takeDue(performance.now()))
    if (partition.source !== 'stream') return
    const { deliveries } = await findUnpublished([partition], deps)
    await work(deliveries)
  }

  async function readStreams(streaming: readonly Partition[], waitMs: number): Promise<Delivery[]> {
    wake = intake.wake
    const received = await intake.read(streaming, waitMs, () => dropping.size === 0 && !stopping.signal.aborted)
    wake = () => {}
    const readAt = Date.now()
    const timely = giveUpFarBehind(received, partitions, arrivals)
    traceReceived(timely, readAt, tracing)
    return timely
  }

  async function lookAfter(): Promise<void> {
    if (performance.now() - lookedAfterAt < LOOK_AFTER_MS) return
    lookedAfterAt = performance.now()
    const streaming = inSource('stream')
    if (streaming.length > 0) {
      const { deliveries, more } = await findUnpublished(streaming, deps)
      if (more) lookedAfterAt = Number.NEGATIVE_INFINITY
      await work(deliveries)
    }
    // A partition that is to be begun again has lost what it had in hand.
    await saveWatermarks([...inSource('stream'), ...inSource('postgres')], db)
  }

  /** Finds what others have written. Between two batches nothing is in hand but what the keys hold. */
  async function lookAround(): Promise<void> {
    if (partitions.size === 0 || performance.now() < lookAroundAt) return
    arrivals = await readArrivals(db)
    const streaming = inSource('stream')
    const dirty = await findDirty(
      db,
      streaming.map(({ id }) => id),
    )
    for (const partition of streaming) if (dirty.includes(partition.id)) partition.source = 'new'
    const begun = [...inSource('stream'), ...inSource('postgres')]
    const more = await takeUpRetries(begun.filter(hasRoom), RETRIES_AT_ONCE, db)
    lookAroundAt = more ? 0 : performance.now() + LOOK_AROUND_MS
  }

  async function sleep(ms: number): Promise<void> {
    const waking = new AbortController()
    wake = () => waking.abort()
    await delay(ms, undefined, { signal: AbortSignal.any([waking.signal, stopping.signal]) }).catch(() => {})
    wake = () => {}
  }

  const running = run()

  return {
    adopt(taken) {
      partitions.set(taken.partition, newPartition(taken, suspectsAfter(taken.crashes)))
      wake()
    },
    async drop(lease) {
      const partition = partitions.get(lease.partition)
      if (partition?.epoch !== lease.epoch) return
      let asked = dropping.get(partition)
      if (!asked) {
        let resolve = () => {}
        const done = new Promise<void>((settle) => {
          resolve = settle
        })
        asked = { done, resolve }
        dropping.set(partition, asked)
        wake()
      }
      await Promise.race([asked.done, running])
    },
    held: () => [...partitions.values()].map((partition) => asHeld(partition, { full: !hasRoom(partition) })),
    doing: progress.state,
    async stop() {
      stopping.abort()
      wake()
      await running
      connections.stop()
    },
  }
}
