/** The nemesis: causes random faults, one after the other and several at once, and records them. */
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'
import { partitionOf } from '@eventflow/core'
import type { Clients } from '../history/clients.js'
import type { Random } from '../random.js'
import { until } from '../until.js'
import type { Fault, FaultKind } from './fault.js'
import { linkFaults } from './link-faults.js'
import { postgresFaults } from './postgres-faults.js'
import { processFaults } from './process-faults.js'
import { redisFaults } from './redis-faults.js'
import { PARTITIONS, type Stack } from './stack.js'

/** Every kind of fault. */
export const ALL_FAULTS: readonly FaultKind[] = [...processFaults, ...linkFaults, ...redisFaults, ...postgresFaults]

export interface FaultRecord {
  name: string
  victim: string
  /** Milliseconds since the nemesis began. */
  at: number
  /**
   * How long after the fault events of every partition, sent after it, were settled. Missing if that never happened.
   */
  recoveryMs?: number
  /** An error of the fault itself. */
  problem?: string
}

export interface NemesisOptions {
  stack: Stack
  clients: Clients
  random: Random
  kinds?: readonly FaultKind[]
  /** Between the beginnings of two faults, in milliseconds. */
  everyMs: number
  /** Each fault begins only after the recovery from the one before, so that the times belong to one fault. */
  alone?: boolean
  /** Each kind once, in the given order as far as the resources are free, and then no more. */
  once?: boolean
  /** Called with each fault as it begins. */
  tell?: (record: FaultRecord) => void
}

export interface Nemesis {
  readonly records: FaultRecord[]
  /** Resolves when all is over: with `once`, or after `stop`. */
  readonly done: Promise<void>
  /** Begins no more faults, and waits for the end of the current ones and the recovery from them. */
  stop(): Promise<void>
}

/** Maximum duration of a recovery, in milliseconds. */
const RECOVERY_LIMIT_MS = 120_000

/** The pause between two looks, as a share of the time since the first: many recoveries must not slow each other down. */
const LOOK_AFTER = 0.05
const MIN_PAUSE_MS = 20

/** Begins to cause faults. The seed of `random` fixes the faults, their order, and their targets. */
export function startNemesis(options: NemesisOptions): Nemesis {
  const { stack, clients, random, kinds = ALL_FAULTS, everyMs, alone = false, once = false, tell } = options
  const left = new Set(kinds)
  const records: FaultRecord[] = []
  const taken = new Set<string>()
  const running = new Set<Promise<void>>()
  const stopping = new AbortController()
  const begun = performance.now()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted && (!once || left.size > 0)) {
      const fault = choose()
      if (fault) {
        const done = strike(fault).finally(() => running.delete(done))
        running.add(done)
        if (alone) await done
      }
      await delay(fault ? everyMs : 100, undefined, { signal: stopping.signal }).catch(() => {})
    }
    await Promise.all(running)
  }

  /** A fault whose resources are free; `undefined` if those of the one drawn are not. */
  function choose(): Fault | undefined {
    for (const kind of once ? left : [random.pick(kinds)]) {
      const fault = kind(stack, random)
      if (fault?.takes.some((name) => taken.has(name))) continue
      left.delete(kind)
      return fault
    }
    return undefined
  }

  async function strike(fault: Fault): Promise<void> {
    const record: FaultRecord = { name: fault.name, victim: fault.victim, at: performance.now() - begun }
    records.push(record)
    tell?.(record)
    for (const name of fault.takes) taken.add(name)
    let from: number | undefined
    let recovery: Promise<void> | undefined
    const struck = () => {
      from ??= performance.now()
      recovery ??= recovered(stack, clients).then((at) => {
        record.recoveryMs = at - from!
      })
      recovery.catch(() => {}) // its result is read below
    }
    try {
      await fault.run(struck)
    } catch (error) {
      record.problem = inspect(error)
    }
    for (const name of fault.takes) taken.delete(name)
    struck()
    await recovery?.catch((error) => {
      record.problem = inspect(error)
    })
  }

  const done = run()
  return {
    records,
    done,
    async stop() {
      stopping.abort()
      await done
    },
  }
}

let probes = 0

/**
 * Sends an event to every partition, and returns the time when all of them were settled. Retention may have removed the
 * first of them by then.
 */
export async function recovered({ db }: Stack, clients: Clients): Promise<number> {
  let waiting = await clients.send(probeKeys(probes++).map((key) => ({ key })))
  const sentAt = performance.now()
  const settled = async () => {
    const text = `
      SELECT array_agg(event_id) AS waiting FROM unnest($1::uuid[]) AS probe(event_id)
      WHERE NOT EXISTS (SELECT FROM event_ids i JOIN processed_events USING (seq)
                        WHERE i.tenant_id = 'default' AND i.event_id = probe.event_id)`
    await delay(Math.max(MIN_PAUSE_MS, (performance.now() - sentAt) * LOOK_AFTER))
    waiting = (await db.query(text, [waiting])).rows[0].waiting ?? []
    return waiting.length === 0
  }
  await until('events that were sent after the fault are settled', settled, RECOVERY_LIMIT_MS)
  return performance.now()
}

/** A new key for every partition. */
function probeKeys(probe: number): string[] {
  const keys = new Map<number, string>()
  for (let n = 0; keys.size < PARTITIONS; n++) {
    const key = `probe ${probe} ${n}`
    const partition = partitionOf('default', key, PARTITIONS)
    if (!keys.has(partition)) keys.set(partition, key)
  }
  return [...keys.values()]
}
