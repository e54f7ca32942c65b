/** One measurement: fresh databases, warm up, load, and the clock stops when everything is done. */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { LoadOrder, LoadReport } from './load/orders.js'
import { machineCpuSeconds } from './processes.js'
import type { ByRole, Stack } from './stack.js'
import type { Percentiles } from './statistics.js'

/** Something that can be put under load. */
export interface Subject {
  drive(order: LoadOrder, onProgress?: (events: number) => void): Promise<LoadReport>
  /** Resolves when so many events have reached their end since the start: nothing is under way any more. */
  drained(events: number): Promise<void>
  /** From acceptance to the end of the events that were accepted after this time, as the database has it. */
  delivery?(since: Date): Promise<Percentiles>
  /** Who brought how many events to their end. */
  byWorker?(): Promise<Record<string, number>>
}

/** A subject that can be started, and what is to be said of it. */
export interface Variant {
  name: string
  group: 'limits' | 'naive' | 'eventflow' | 'features' | 'peers' | 'latency' | 'workers'
  title: string
  /** What it promises: rates of things that promise less are not the same kind of rate. */
  promise: string
  /** Events a second; without it as many as it takes. */
  rate?: number
  /** How many times as long as others it is warmed up. */
  warmUps?: number
  start(stack: Stack): Promise<Subject>
}

export interface Measurement {
  events: number
  /** From the first request until all is done. */
  seconds: number
  /** From the first request to the last answer. */
  loadSeconds: number
  cpuSeconds: ByRole
  /** The part of the machine, from 0 to 1, that was taken by processes which are not ours. */
  takenByOthers: number
  /** Of requests, in milliseconds. */
  accept?: Percentiles
  /** From acceptance to the end, in milliseconds. */
  delivery?: Percentiles
  byWorker?: Record<string, number>
}

export interface Times {
  /** Of load that is not measured, before the one that is: code is compiled and caches are filled in it. */
  warmUpSeconds: number
  seconds: number
  /** Told what is going on. */
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

/** By role, what was added since. */
export function differences(after: ByRole, before: ByRole): ByRole {
  return Object.fromEntries(Object.keys(after).map((role) => [role, after[role]! - before[role]!]))
}

/** So long may nothing at all move before it is given up. */
const STALLED_MS = 60_000

/**
 * Looks every `everyMs` until `look` gives 0: what is left. Throws when that number has not changed for a minute.
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
