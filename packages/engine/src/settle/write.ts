/** The settling transaction: which rows of a batch are written, and in which order. */
import type { Delivery, Failed, Outcome, Processed, Retry } from '@eventflow/core'
import {
  type Db,
  endWaiting,
  findBrokenLeases,
  insertFailed,
  insertProcessed,
  type Lease,
  type Queryable,
  type Transaction,
  upsertRetries,
  withTransaction,
} from '@eventflow/db'
import type { Settlement } from '../batch/settlement.js'
import type { Definitions } from '../process/definitions.js'
import { applyEffects, type HandlerLimits, hasEffect } from './effects.js'
import { type HoldsOf, holdChangesOf } from './hold-changes.js'
import type { Settling } from './settling.js'
import { type Handled, withHandlers } from './with-handlers.js'

export interface WriteDeps {
  db: Db
  definitions: Definitions
  workerId: string
  handlerLimits: HandlerLimits
}

export type Due = Processed | Failed | Retry

export interface Written {
  processed: Processed[]
  /** The processed events that were settled now, not before. */
  fresh: Processed[]
  failed: Failed[]
  retried: Retry[]
  /** Partitions that failed the fence. Nothing was written for them. */
  broken: Set<number>
}

/**
 * Writes outcomes behind the fence: with a single statement if only inserts are needed, else in a transaction. Handlers
 * run last, so that none of our statements sees what they did to the transaction. Rejects with HandlerError if a
 * handler or a deferred constraint fails, and with the error of Postgres otherwise.
 */
export async function write(
  { due: outcomes, blocked }: { due: readonly Due[]; blocked: Settlement['blocked'] },
  { leases, holdsOf }: { leases: ReadonlyMap<number, Lease>; holdsOf: HoldsOf },
  settling: Settling,
  { db, definitions, workerId, handlerLimits: limits }: WriteDeps,
): Promise<Written> {
  const partitions = new Set(outcomes.map(({ delivery }) => delivery.event.partition))
  const holds = holdChangesOf({ due: outcomes, blocked, partitions }, holdsOf, settling.again)
  const ownLeases = [...partitions].flatMap((partition) => leases.get(partition) ?? [])
  const successes = outcomes.filter((outcome) => outcome.kind === 'processed')
  const others = outcomes.filter((outcome) => outcome.kind !== 'processed')

  const writeRows = async (tx: Queryable): Promise<Written> => {
    const now = new Date()
    const fenced = others.length > 0 || holds.some
    const broken = fenced ? await fence(tx, partitions, ownLeases) : new Set<number>()
    if (holds.some) await holds.lower(tx, broken)
    const leaseHolds = ({ delivery }: Outcome) => !broken.has(delivery.event.partition)

    let fresh: Processed[] = []
    let processed: Processed[] = []
    // What the fence has refused must not be inserted, though the mark may have been cleared since.
    const insertable = successes.filter(leaseHolds)
    if (insertable.length > 0) {
      const holding = ownLeases.filter(({ partition }) => !broken.has(partition))
      const by = { workerId, processingMs: performance.now() - settling.batch.startedAt }
      const { inserted, broken: lost } = await insertProcessed(tx, insertable, holding, by)
      for (const partition of lost) broken.add(partition)
      processed = insertable.filter(leaseHolds)
      // `delete` makes sure that an event that is in the batch twice runs its handler once.
      fresh = processed.filter(({ delivery }) => inserted.delete(delivery.event.seq))
    }
    // Filtered after the insert, whose own fence may see a mark that the first one did not. Otherwise a retry could be
    // written without an earlier event of its key, and run before it.
    const failed = others.filter((outcome) => outcome.kind === 'failed' && leaseHolds(outcome)) as Failed[]
    const retried = others.filter((outcome) => outcome.kind === 'retry' && leaseHolds(outcome)) as Retry[]
    if (failed.length > 0) await insertFailed(tx, failed, { workerId, now })
    if (retried.length > 0) await upsertRetries(tx, retried, now)
    const mayHaveRetry = ({ delivery }: { delivery: Delivery }) => settling.again || delivery.inRetries
    const ended = [...processed, ...failed].filter(mayHaveRetry).map(({ delivery }) => delivery.event)
    if (ended.length > 0) await endWaiting(tx, ended)
    if (holds.some) await holds.raise(tx, broken)
    return { processed, fresh, failed, retried, broken }
  }

  const effective = successes.filter((outcome) => hasEffect(outcome, definitions))
  const onlyInserts =
    !settling.again && !holds.some && others.length === 0 && successes.every(({ delivery }) => !delivery.inRetries)
  const writeAsNeeded = () => (onlyInserts ? writeRows(db) : withTransaction(db, writeRows))
  const written = await (effective.length > 0 ? writeWithEffects() : writeAsNeeded())
  holds.committed(written.broken)
  return written

  async function writeWithEffects(): Promise<Written> {
    const writeAll = async (tx: Transaction, handled: Handled) => {
      const begunAt = performance.now()
      const written = await writeRows(tx)
      const fresh = written.fresh.filter((outcome) => hasEffect(outcome, definitions))
      await applyEffects(eventsOf(fresh), definitions, { db, tx, limits, begunAt, trace: settling.batch.trace })
      handled(fresh.map(({ delivery }) => delivery.event.seq))
      return written
    }
    return withHandlers(db, writeAll)
  }
}

/** Copies for each run, so that no run sees what another one changed. */
const eventsOf = (outcomes: readonly Processed[]) =>
  outcomes.map(({ delivery, data }) => ({ ...delivery.event, data: Object.freeze(data) }))

/** Returns the partitions that fail the fence, including those without a lease. */
async function fence(tx: Queryable, partitions: ReadonlySet<number>, leases: readonly Lease[]): Promise<Set<number>> {
  const broken = await findBrokenLeases(tx, leases)
  const holding = new Set(leases.filter((lease) => !broken.includes(lease)).map(({ partition }) => partition))
  return new Set([...partitions].filter((partition) => !holding.has(partition)))
}
