/** One measurement: fresh databases, warm-up, load; the clock stops when every event is done. */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { LoadOrder, LoadReport } from './load/orders.js'
import { machineCpuSeconds } from './processes.js'
import type { ByRole, Stack } from './stack.js'
import type { Percentiles } from './statistics.js'

/** A system that can be put under load. */
export interface Subject {
  drive(order: LoadOrder, onProgress?: (events: number) => void): Promise<LoadReport>
  /** Resolves when this many events have been settled since the start: nothing is in flight any more. */
  drained(events: number): Promise<void>
  /** From acceptance to settlement, for the events accepted after this time, by the database's clock. */
  delivery?(since: Date): Promise<Percentiles>
  /** How many events each worker settled. */
  byWorker?(): Promise<Record<string, number>>
}

/** A subject that can be started, with its description. */
export interface Variant {
  name: string
  group: 'limits' | 'naive' | 'eventflow' | 'features' | 'peers' | 'latency' | 'workers'
  title: string
  /** What it guarantees: rates of systems that guarantee less are not comparable. */
  promise: string
  /** Events a second; without it as many as possible. */
  rate?: number
  /** Length of its warm-up, as a multiple of the usual one. */
  warmUps?: number
  start(stack: Stack): Promise<Subject>
}

export interface Measurement {
  events: number
  /** From the first request until every event is done. */
  seconds: number
  /** From the first request to the last answer. */
  loadSeconds: number
  cpuSeconds: ByRole
  /** The share of the machine, from 0 to 1, used by processes that are not ours. */
  takenByOthers: number
  /** Of requests, in milliseconds. */
  accept?: Percentiles
  /** From acceptance to settlement, in milliseconds. */
  delivery?: Percentiles
  byWorker?: Record<string, number>
}

export interface Times {
  /** Unmeasured load before the measurement: it compiles code and fills caches. */
  warmUpSeconds: number
  seconds: number
  /** Called with the current step. */
  onProgress: (what: string) => void
}

/** Measures a variant. Leaves no program running, however it ends. */
export async function measure(stack: Stack, variant: Variant, times: Times): Promise<Measurement> {
  const { warmUpSeconds, seconds, onProgress } = times
  const pace = variant.rate === undefined ? {} : { rate: variant.rate }
  onProgress('starting')
  await stack.reset()
  try {
    const subject = await variant.start(stack)
    onProgress('warming up')
    const warmUp = await subject.drive({ seconds: warmUpSeconds * (variant.warmUps ?? 1), ...pace })
    await subject.drained(warmUp.events)

    const since = new Date()
    const cpuBefore = stack.cpuSeconds()
    const machineBefore = machineCpuSeconds()
    const startedAt = performance.now()
    const load = await subject.drive({ seconds, ...pace }, (events) =>
      onProgress(`${events.toLocaleString('en')} events`),
    )
    onProgress(`${load.events.toLocaleString('en')} events, waiting for their end`)
    await subject.drained(warmUp.events + load.events)
    const took = (performance.now() - startedAt) / 1_000
    const machine = machineCpuSeconds() - machineBefore
    const cpuSeconds = differences(stack.cpuSeconds(), cpuBefore)
    const ours = Object.values(cpuSeconds).reduce((sum, role) => sum + role, 0)
    const delivery = await subject.delivery?.(since)
    const byWorker = await subject.byWorker?.()
    return {
      events: load.events,
      seconds: took,
      loadSeconds: load.seconds,
      cpuSeconds,
      takenByOthers: Math.max(0, (machine - ours) / (took * availableParallelism())),
      ...(load.latency && { accept: load.latency }),
      ...(delivery && { delivery }),
      ...(byWorker && { byWorker }),
    }
  } finally {
    await stack.stopPrograms()
  }
}

/** The increase by role; a role may be new. */
export function differences(after: ByRole, before: ByRole): ByRole {
  return Object.fromEntries(Object.keys(after).map((role) => [role, after[role]! - (before[role] ?? 0)]))
}

/** How long there may be no progress before the measurement is given up. */
const STALLED_MS = 60_000

/**
 * Calls `look` every `everyMs` until it returns 0: the remaining number. Throws if that has not changed for a minute.
 */
export async function untilNothingLeft(what: string, everyMs: number, look: () => Promise<number>): Promise<void> {
  let movedAt = performance.now()
  for (let before = Number.NaN; ; await delay(everyMs)) {
    const left = await look()
    if (left === 0) return
    if (left !== before) movedAt = performance.now()
    else if (performance.now() - movedAt > STALLED_MS) throw new Error(`${what}: ${left} left, and nothing moves`)
    before = left
  }
}
