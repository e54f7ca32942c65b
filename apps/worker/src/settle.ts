/**
 * Settling: the outcomes of a batch become rows, in one transaction behind the fence.
 *
 * The order of the writes: everything is committed first, and only then are the stream entries acknowledged. A crash in
 * between delivers the entries again to the next owner, who finds their events settled: that costs work, never an effect.
 */
import {
  bisect,
  type Commit,
  type Dead,
  type Delivery,
  type Failure,
  failureOf,
  historyWith,
  type Outcome,
  outcomeOfFailure,
  type Retry,
  type Wait,
} from '@eventflow/core'
import {
  asSql,
  type Db,
  deleteRetries,
  findBrokenLeases,
  insertFailed,
  insertProcessed,
  type Lease,
  markReplayed,
  type Queryable,
  RolledBackError,
  sqlErrorKind,
  upsertRetries,
  withTransaction,
} from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import type { Definitions } from './definitions.js'
import { applyEffects, HandlerError, hasEffect } from './effects.js'
import type { BatchTrace } from './trace.js'

export interface SettleDeps {
  db: Db
  definitions: Definitions
  workerId: string
  log: Logger
  orderOf: (delivery: Delivery) => string
  /** In [0, 1): spreads the retries. */
  random: () => number
}

/** How a batch is settled. */
export interface Settling {
  /** When the batch was taken up, on the monotonic clock, in milliseconds. */
  startedAt: number
  /** A part of it may have been written before, retries too: whatever is settled now must not leave one behind. */
  again: boolean
  /** Handlers whose statements take too long have failed; otherwise Postgres is taken to be slow. */
  blameTimeouts: boolean
  trace: BatchTrace | undefined
}

/** What a settled batch leaves to do. */
export interface Settlement {
  /** What was written, by kind; their entries are to be acknowledged. */
  committed: Commit[]
  dead: Dead[]
  retried: Retry[]
  /** What waits for a dependency that is down: nothing was written. */
  waiting: Wait[]
  /** What Postgres takes neither as processed nor as dead: it stays unsettled, where it is seen to be old. */
  refused: Delivery[]
  /** Of the committed, those that were settled just now; the others had been before, and had no effect this time. */
  fresh: Commit[]
  /** Events that wait from now on, in order: the head of each key with its delay, and those behind it. */
  held: { delivery: Delivery; delayMs: number }[]
  /** Partitions whose lease did not hold: nothing of them was written. */
  broken: Set<number>
}

/**
 * Settles a batch. When a single event spoils the transaction, by a value Postgres cannot store or by a failing handler,
 * the batch is halved until that event is alone, and its outcome changes. Throws when Postgres is away; running the same
 * batch again is always safe, whatever of it was committed.
 */
export async function settleBatch(
  outcomes: readonly Outcome[],
  leases: ReadonlyMap<number, Lease>,
  settling: Settling,
  deps: SettleDeps,
): Promise<Settlement> {
  const { definitions, orderOf, random, log } = deps
  const settlement: Settlement = {
    committed: [],
    dead: [],
    retried: [],
    waiting: [],
    refused: [],
    fresh: [],
    held: [],
    broken: new Set(),
  }
  const blocked = new Set<string>()

  const settlePart = async (part: readonly Outcome[]) => {
    const { due, held, waiting } = separate(part, blocked, orderOf)
    const written = await write(due, leases, settling, deps)
    for (const partition of written.broken) settlement.broken.add(partition)
    settlement.committed.push(...written.committed)
    settlement.dead.push(...written.dead)
    settlement.retried.push(...written.retried)
    settlement.fresh.push(...written.fresh)
    settlement.held.push(...held)
    settlement.waiting.push(...waiting)
    for (const { delivery } of held) blocked.add(orderOf(delivery))
  }

  const failOne = async (outcome: Outcome, error: unknown) => {
    const { kind, delivery } = outcome
    const failure = describe(error)
    if (kind === 'commit') {
      const policy = definitions.get(delivery.event.type)!.retry
      await settleAlone(outcomeOfFailure(delivery, failure, policy, random()))
    } else if (kind === 'dead' && outcome.failure.component === 'settle') {
      log.error({ err: error, event_id: delivery.event.id }, 'an event can be neither committed nor dead-lettered')
      settlement.refused.push(delivery)
    } else {
      // Its own failure cannot be written, so this one stands for it.
      await settleAlone({ kind: 'dead', delivery: { ...delivery, history: [] }, failure })
    }
  }

  const settleAlone = (outcome: Outcome) => bisect([outcome], settlePart, failOne, concernsOneEvent)

  await bisect(outcomes, settlePart, failOne, concernsOneEvent)
  return settlement
}

/**
 * What of a batch may be written, and what waits: an event that is to be tried again, and every later one of its key.
 * A retry is in both: its row is written, and its event waits.
 */
function separate(outcomes: readonly Outcome[], blockedBefore: ReadonlySet<string>, orderOf: SettleDeps['orderOf']) {
  const due: (Commit | Dead | Retry)[] = []
  const held: Settlement['held'] = []
  const waiting: Wait[] = []
  const blocked = new Set(blockedBefore)
  for (const outcome of outcomes) {
    const { kind, delivery } = outcome
    if (blocked.size > 0 && blocked.has(orderOf(delivery))) {
      held.push({ delivery, delayMs: 0 })
      continue
    }
    if (kind === 'wait') waiting.push(outcome)
    else due.push(outcome)
    if (kind === 'wait' || kind === 'retry') {
      blocked.add(orderOf(delivery))
      held.push({ delivery: kind === 'retry' ? afterFailure(outcome) : delivery, delayMs: outcome.delayMs })
    }
  }
  return { due, held, waiting }
}

/** The delivery as it will be made again: Postgres has it, so no stream entry belongs to it any more. */
function afterFailure({ delivery, failure }: Retry): Delivery {
  const history = historyWith(delivery, failure, new Date())
  return { ...delivery, entryIds: [], attempts: delivery.attempts + 1, history, inRetries: true }
}

/** Writes what is due behind the fence. Where there is nothing to do but to insert, in one statement; else in a transaction. */
async function write(
  outcomes: readonly (Commit | Dead | Retry)[],
  leases: ReadonlyMap<number, Lease>,
  settling: Settling,
  { db, definitions, workerId }: SettleDeps,
) {
  const partitions = new Set(outcomes.map(({ delivery }) => delivery.event.partition))
  const held = [...partitions].flatMap((partition) => leases.get(partition) ?? [])
  const commits = outcomes.filter((outcome) => outcome.kind === 'commit')
  const others = outcomes.filter((outcome) => outcome.kind !== 'commit')

  const writeAll = async (tx: Queryable) => {
    const now = new Date()
    const broken = others.length > 0 ? await fence(tx, partitions, held) : new Set<number>()
    const holds = ({ delivery }: Outcome) => !broken.has(delivery.event.partition)

    let fresh: Commit[] = []
    let committed: Commit[] = []
    if (commits.length > 0) {
      const by = { workerId, processingMs: performance.now() - settling.startedAt }
      const { inserted, broken: lost } = await insertProcessed(tx, commits, held, by)
      for (const partition of lost) broken.add(partition)
      committed = commits.filter(holds)
      // Taken out of the set, so that an event that is in the batch twice has its effects once.
      fresh = committed.filter(({ delivery }) => inserted.delete(delivery.event.seq))
      const effective = fresh.filter((commit) => hasEffect(commit, definitions))
      await applyEffects(
        effective.map(({ delivery, data }) => ({ ...delivery.event, data })),
        definitions,
        asSql(tx),
        settling,
      )
    }
    // Chosen after the insert, whose own fence may see a mark that the first one did not: a retry that is written while an earlier
    // event of its key is not would run first.
    const dead = others.filter((outcome) => outcome.kind === 'dead' && holds(outcome)) as Dead[]
    const retried = others.filter((outcome) => outcome.kind === 'retry' && holds(outcome)) as Retry[]
    if (dead.length > 0) await insertFailed(tx, dead, { workerId, now })
    if (retried.length > 0) await upsertRetries(tx, retried, now)
    const ended = [...committed, ...dead].filter(({ delivery }) => settling.again || delivery.inRetries)
    if (ended.length > 0) {
      const events = ended.map(({ delivery }) => delivery.event)
      await deleteRetries(tx, events)
      // Those that died again are open again by now.
      await markReplayed(tx, events)
    }
    return { committed, fresh, dead, retried, broken }
  }
  const onlyInserts =
    !settling.again &&
    others.length === 0 &&
    commits.every((commit) => !commit.delivery.inRetries && !hasEffect(commit, definitions))
  return onlyInserts ? writeAll(db) : withTransaction(db, writeAll)
}

/** The partitions whose lease does not hold; one without a lease is as good as one whose lease was taken. */
async function fence(tx: Queryable, partitions: ReadonlySet<number>, held: readonly Lease[]): Promise<Set<number>> {
  const broken = await findBrokenLeases(tx, held)
  const holding = new Set(held.filter((lease) => !broken.includes(lease)).map(({ partition }) => partition))
  return new Set([...partitions].filter((partition) => !holding.has(partition)))
}

/** A mistake in our own statements, or a server that is away, concerns them all: nothing is learned of any one by halving. */
function concernsOneEvent(error: unknown): boolean {
  const kind = sqlErrorKind(error)
  return error instanceof HandlerError || kind === 'data' || kind === 'other'
}

/** What Postgres refuses, or cannot be written as JSON, is refused the next time too; a handler may fare better. */
function describe(error: unknown): Failure {
  if (error instanceof RolledBackError) return failureOf(error, 'handle')
  const cause = error instanceof HandlerError ? error.cause : error
  const failure = failureOf(cause, error instanceof HandlerError ? 'handle' : 'settle')
  if (sqlErrorKind(cause) === 'data') {
    return { ...failure, failureType: 'permanent', errorClass: `SQLSTATE ${(cause as { code: string }).code}` }
  }
  return error instanceof HandlerError ? failure : { ...failure, failureType: 'permanent' }
}
