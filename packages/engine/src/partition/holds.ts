/**
 * The holds of a partition: which of its events wait, and what the log says about them.
 *
 * A reader of the log must not close a window for which an event still waits. So before a settle passes waiting events
 * of a tenant, it writes a hold into the log, with the earliest of their times. It writes the next one, or a release,
 * after it has settled that event.
 */
import { type Delivery, earlier, type Micros, microsOf } from '@eventflow/core'

/** The holds that earlier owners of a partition left open, by tenant. */
export interface Inherited {
  open: ReadonlyMap<string, Micros>
  /** The last seq by then: the events that these holds are for are among those up to it. */
  upTo: number
}

export interface Holds {
  /** The open holds in the log, by tenant. */
  readonly open: ReadonlyMap<string, Micros>
  /** All events that may wait are known. Before that, a hold is kept or lowered. */
  readonly mayRise: boolean
  /** The event waits from now on, until it is settled: also while it is processed again. */
  wait(delivery: Delivery): void
  /** All events up to this seq are settled, or wait in memory. Call it between batches. */
  knowUpTo(seq: number): void
  /** Whether nothing waits and nothing is held. */
  areIdle(): boolean
  /** The earliest time of the waiting events of each tenant, without those of these seqs. */
  earliest(without?: ReadonlySet<number>): ReadonlyMap<string, Micros>
  /** These events are settled, and the log has these holds. */
  settled(seqs: Iterable<number>, open: ReadonlyMap<string, Micros>): void
}

/** Creates the holds of a partition that begins. */
export function createHolds({ open: inherited, upTo }: Inherited = { open: new Map(), upTo: 0 }): Holds {
  let open = inherited
  const waiting = new Map<number, { tenantId: string; at: Micros }>()
  let mayRise = false
  /** Of all that wait. */
  let least: Map<string, Micros> | undefined = new Map()

  function earliest(without: ReadonlySet<number> = new Set()): Map<string, Micros> {
    const found = new Map<string, Micros>()
    for (const [seq, { tenantId, at }] of waiting) if (!without.has(seq)) lower(found, tenantId, at)
    return found
  }

  return {
    get open() {
      return open
    },
    get mayRise() {
      return mayRise
    },
    wait({ event, inLog }) {
      // Readers have its place in the log already.
      if (inLog || waiting.has(event.seq)) return
      const { seq, tenantId } = event
      const at = earlier(microsOf(event.occurredAt), microsOf(event.acceptedAt))
      waiting.set(seq, { tenantId, at })
      if (least) lower(least, tenantId, at)
    },
    knowUpTo(seq) {
      mayRise ||= seq >= upTo
    },
    areIdle: () => waiting.size === 0 && open.size === 0,
    earliest(without) {
      if (without && [...without].some((seq) => waiting.has(seq))) return earliest(without)
      least ??= earliest()
      return least
    },
    settled(seqs, now) {
      open = now
      for (const seq of seqs) if (waiting.delete(seq)) least = undefined
    },
  }
}

function lower(times: Map<string, Micros>, tenantId: string, at: Micros): void {
  const known = times.get(tenantId)
  times.set(tenantId, known === undefined ? at : earlier(known, at))
}

/** A tenant's hold in the log: its new time, or undefined if it is released. */
export interface Change {
  tenantId: string
  at: Micros | undefined
}

/**
 * Returns what a settle changes. `lowered` comes before its events in the log, only where it passes waiting ones:
 * `passing` are the tenants of its events. `raised` comes after them. `earliest`: of what waits after it.
 */
export function changesOf(
  open: ReadonlyMap<string, Micros>,
  earliest: ReadonlyMap<string, Micros>,
  { passing, mayRise }: { passing: ReadonlySet<string>; mayRise: boolean },
): { lowered: Change[]; raised: Change[] } {
  const lowered: Change[] = []
  for (const [tenantId, at] of earliest) {
    const held = open.get(tenantId)
    if (passing.has(tenantId) && (held === undefined || at < held)) lowered.push({ tenantId, at })
  }
  const raised: Change[] = []
  for (const [tenantId, held] of mayRise ? open : []) {
    const at = earliest.get(tenantId)
    if (at === undefined || at > held) raised.push({ tenantId, at })
  }
  return { lowered, raised }
}
