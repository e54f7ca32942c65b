/** What a settle writes into the log about waiting events: holds before its events, the end of holds after them. */
import type { Delivery, Failed, Micros, Processed, Retry } from '@eventflow/core'
import {
  type Db,
  findBrokenLeases,
  type HoldChange,
  type Lease,
  type Queryable,
  readOpenHolds,
  withTransaction,
  writeHolds,
} from '@eventflow/db'
import { type Change, changesOf, type Holds } from '../partition/holds.js'

/** Returns the holds of a partition; undefined if it is to begin again. */
export type HoldsOf = (partition: number) => Holds | undefined

/** The part of a batch that is settled. */
interface Settled {
  due: readonly (Processed | Failed | Retry)[]
  blocked: readonly { delivery: Delivery }[]
  /** Those of `due`. */
  partitions: ReadonlySet<number>
}

export interface HoldChanges {
  /** Whether there is something to write. */
  readonly some: boolean
  /** Writes lowered holds of partitions that are not broken. Call it behind the fence, and before the events. */
  lower(tx: Queryable, broken: ReadonlySet<number>): Promise<void>
  /** Writes raised holds and releases of partitions that are not broken. Call it after the events. */
  raise(tx: Queryable, broken: ReadonlySet<number>): Promise<void>
  /** Keeps what was committed. */
  committed(broken: ReadonlySet<number>): void
}

const NO_CHANGES: HoldChanges = {
  some: false,
  lower: async () => {},
  raise: async () => {},
  committed() {},
}

/** What a partition changes. */
interface Changing {
  holds: Holds
  /** The open holds before it. */
  open: ReadonlyMap<string, Micros>
  /** The seqs that are settled now. */
  settled: Set<number>
  /** The tenants of the processed events. */
  passing: Set<string>
}

/**
 * Returns what settling a part changes. Nothing, at next to no cost, if no event waits. `again`: an earlier run may have
 * been committed, so the open holds are read anew.
 */
export function holdChangesOf({ due, blocked, partitions }: Settled, holdsOf: HoldsOf, again: boolean): HoldChanges {
  for (const { delivery } of blocked) holdsOf(delivery.event.partition)?.wait(delivery)
  const changing = new Map<number, Changing>()
  for (const partition of partitions) {
    const holds = holdsOf(partition)
    if (!holds || holds.areIdle()) continue
    changing.set(partition, { holds, open: holds.open, settled: new Set(), passing: new Set() })
  }
  if (changing.size === 0) return NO_CHANGES
  for (const { kind, delivery } of due) {
    const { partition, seq, tenantId } = delivery.event
    if (kind !== 'retry') changing.get(partition)?.settled.add(seq)
    if (kind === 'processed') changing.get(partition)?.passing.add(tenantId)
  }

  let lowered: HoldChange[] = []
  let raised: HoldChange[] = []
  const plan = () => {
    lowered = []
    raised = []
    for (const [partition, { holds, open, settled, passing }] of changing) {
      const changes = changesOf(open, holds.earliest(settled), { passing, mayRise: holds.mayRise })
      lowered.push(...changes.lowered.map((change) => ({ partition, ...change })))
      raised.push(...changes.raised.map((change) => ({ partition, ...change })))
    }
  }
  plan()

  return {
    some: again || lowered.length + raised.length > 0,

    async lower(tx, broken) {
      if (again) {
        const found = await readOpenHolds(tx, [...changing.keys()])
        for (const [partition, change] of changing) change.open = found.get(partition)!
        plan()
      }
      await writeUnbroken(tx, lowered, broken)
    },

    raise: (tx, broken) => writeUnbroken(tx, raised, broken),

    committed(broken) {
      for (const [partition, { holds, open, settled }] of changing) {
        const changes = [...lowered, ...raised].filter((change) => change.partition === partition)
        if (!broken.has(partition)) holds.settled(settled, openAfter(open, changes))
      }
    },
  }
}

/**
 * Raises holds that no settle will raise: what they were for is settled, or can never be. Resolves with nothing written
 * where the lease is lost. Rejects when Postgres fails; then the holds must be read again.
 */
export async function raiseHolds(partitions: readonly { lease: Lease; holds: Holds }[], db: Db): Promise<void> {
  const raising = partitions.flatMap(({ lease, holds }) => {
    if (holds.open.size === 0) return []
    const { raised } = changesOf(holds.open, holds.earliest(), { passing: new Set(), mayRise: holds.mayRise })
    return raised.length > 0 ? { lease, holds, raised } : []
  })
  if (raising.length === 0) return
  const leases = raising.map(({ lease }) => lease)
  const broken = await withTransaction(db, async (tx) => {
    const lost = new Set((await findBrokenLeases(tx, leases)).map(({ partition }) => partition))
    const changes = raising.flatMap(({ lease: { partition }, raised }) =>
      raised.map((change) => ({ partition, ...change })),
    )
    await writeUnbroken(tx, changes, lost)
    return lost
  })
  for (const { lease, holds, raised } of raising)
    if (!broken.has(lease.partition)) holds.settled([], openAfter(holds.open, raised))
}

function openAfter(open: ReadonlyMap<string, Micros>, changes: readonly Change[]): Map<string, Micros> {
  const after = new Map(open)
  for (const { tenantId, at } of changes) {
    if (at === undefined) after.delete(tenantId)
    else after.set(tenantId, at)
  }
  return after
}

async function writeUnbroken(
  tx: Queryable,
  changes: readonly HoldChange[],
  broken: ReadonlySet<number>,
): Promise<void> {
  const kept = changes.filter(({ partition }) => !broken.has(partition))
  if (kept.length > 0) await writeHolds(tx, kept)
}
