/** The settle transaction: what of a batch is written, in which order. */
import type { Delivery, Failed, Outcome, Processed, Retry } from '@eventflow/core'
import {
  type Db,
  endWaiting,
  findBrokenLeases,
  insertFailed,
  insertProcessed,
  type Lease,
  type Queryable,
  sqlErrorKind,
  type Transaction,
  upsertRetries,
  withTransaction,
} from '@eventflow/db'
import type { Definitions } from '../process/definitions.js'
import { applyEffects, type HandlerLimits, hasEffect } from './effects.js'
import { failureOfCommit, HandlerError } from './handler-failure.js'
import type { Settling } from './settling.js'

export interface WriteDeps {
  db: Db
  definitions: Definitions
  workerId: string
  handlerLimits: HandlerLimits
}

export type Due = Processed | Failed | Retry

export interface Written {
  processed: Processed[]
  /** Of the processed, those that were settled just now. */
  fresh: Processed[]
  failed: Failed[]
  retried: Retry[]
  /** Partitions whose lease did not hold: nothing of them was written. */
  broken: Set<number>
}

/**
 * Writes what is due behind the fence. Where there is nothing to do but to insert, in one statement; else in a
 * transaction. The handlers come last: none of our statements is left to meet what they may have done to the
 * transaction.
 */
export async function write(
  outcomes: readonly Due[],
  leases: ReadonlyMap<number, Lease>,
  settling: Settling,
  { db, definitions, workerId, handlerLimits: limits }: WriteDeps,
): Promise<Written> {
  const partitions = new Set(outcomes.map(({ delivery }) => delivery.event.partition))
  const held = [...partitions].flatMap((partition) => leases.get(partition) ?? [])
  const successes = outcomes.filter((outcome) => outcome.kind === 'processed')
  const others = outcomes.filter((outcome) => outcome.kind !== 'processed')

  const writeRows = async (tx: Queryable): Promise<Written> => {
    const now = new Date()
    const broken = others.length > 0 ? await fence(tx, partitions, held) : new Set<number>()
    const leaseHolds = ({ delivery }: Outcome) => !broken.has(delivery.event.partition)

    let fresh: Processed[] = []
    let processed: Processed[] = []
    if (successes.length > 0) {
      const by = { workerId, processingMs: performance.now() - settling.batch.startedAt }
      const { inserted, broken: lost } = await insertProcessed(tx, successes, held, by)
      for (const partition of lost) broken.add(partition)
      processed = successes.filter(leaseHolds)
      // Taken out of the set, so that an event that is in the batch twice has its effects once.
      fresh = processed.filter(({ delivery }) => inserted.delete(delivery.event.seq))
    }
    // Chosen after the insert, whose own fence may see a mark that the first one did not: a retry that is written while
    // an earlier event of its key is not would run first.
    const failed = others.filter((outcome) => outcome.kind === 'failed' && leaseHolds(outcome)) as Failed[]
    const retried = others.filter((outcome) => outcome.kind === 'retry' && leaseHolds(outcome)) as Retry[]
    if (failed.length > 0) await insertFailed(tx, failed, { workerId, now })
    if (retried.length > 0) await upsertRetries(tx, retried, now)
    const mayHaveRetry = ({ delivery }: { delivery: Delivery }) => settling.again || delivery.inRetries
    const ended = [...processed, ...failed].filter(mayHaveRetry).map(({ delivery }) => delivery.event)
    if (ended.length > 0) await endWaiting(tx, ended)
    return { processed, fresh, failed, retried, broken }
  }

  const effective = successes.filter((outcome) => hasEffect(outcome, definitions))
  if (effective.length > 0) return writeWithEffects()
  const onlyInserts = !settling.again && others.length === 0 && successes.every(({ delivery }) => !delivery.inRetries)
  return onlyInserts ? writeRows(db) : withTransaction(db, writeRows)

  async function writeWithEffects(): Promise<Written> {
    let due: Processed[] | undefined
    const writeAll = async (tx: Transaction) => {
      const begunAt = performance.now()
      const written = await writeRows(tx)
      const fresh = written.fresh.filter((outcome) => hasEffect(outcome, definitions))
      await applyEffects(eventsOf(fresh), definitions, { db, tx, limits, begunAt, trace: settling.batch.trace })
      due = fresh
      return written
    }
    try {
      return await withTransaction(db, writeAll, { resetting: true })
    } catch (error) {
      // Everything was done but the COMMIT. What it refuses is for the handlers' sake: our own tables defer nothing.
      if (due?.length && ['data', 'statement', 'conflict'].includes(sqlErrorKind(error))) {
        throw new HandlerError(
          failureOfCommit(error),
          due.map(({ delivery }) => delivery.event.seq),
        )
      }
      throw error
    }
  }
}

/** Copies for each run: none sees what another has done to them. */
const eventsOf = (outcomes: readonly Processed[]) =>
  outcomes.map(({ delivery, data }) => ({ ...delivery.event, data: Object.freeze(data) }))

/** The partitions whose lease does not hold; one without a lease is as good as one whose lease was taken. */
async function fence(tx: Queryable, partitions: ReadonlySet<number>, held: readonly Lease[]): Promise<Set<number>> {
  const broken = await findBrokenLeases(tx, held)
  const holding = new Set(held.filter((lease) => !broken.includes(lease)).map(({ partition }) => partition))
  return new Set([...partitions].filter((partition) => !holding.has(partition)))
}
