/**
 * Reads on a standby. They may show the database as it was up to two seconds ago, so reads by id stay on the primary:
 * a client finds what it has just written.
 *
 * The standby is used while it answers, is a standby of this installation, and is at most MAX_STANDBY_LAG_MS behind.
 * Otherwise, and after an error that the standby causes, a read runs on the primary: clients see no difference.
 */
import type { TurnLimits } from '@eventflow/core'
import type { Db } from './connect.js'
import { createReplayClock } from './replay-clock.js'
import { type DbOf, shareOut } from './share-out.js'
import { isCancelled, sqlErrorKind } from './sql-errors.js'
import { readPrimaryPosition, readStandbyPosition, standbyFault } from './standby-position.js'

/** A standby that is further behind gets no reads, in milliseconds. */
export const MAX_STANDBY_LAG_MS = 2_000

/** How often the lag is measured, in milliseconds. */
const EVERY_MS = 500

/**
 * Why a read ran on the primary although a standby is set:
 *
 * - `unusable`: the standby was away, too far behind or no standby of this installation, or became so meanwhile.
 * - `conflict`: replay needed what the read was using.
 * - `error`: another error that the standby causes, such as a lost connection.
 */
export const FALLBACK_REASONS = ['unusable', 'conflict', 'error'] as const
export type FallbackReason = (typeof FALLBACK_REASONS)[number]

export interface StandbyOptions {
  primary: Db
  /** A pool of its own, which `stop` leaves open. */
  standby: Db
  /** Called when reads begin to use the standby, with no reason, and when they stop, with the reason. */
  onChange: (reason: string | undefined) => void
  onFallback: (reason: FallbackReason) => void
  /** How far it may be behind, in milliseconds. */
  maxLagMs?: number
}

export interface Standby {
  /** Runs a read on `standby`, or on `primary` if the standby is not usable or causes an error. */
  read<Result>(on: { primary: Db; standby: Db }, read: (db: Db) => Promise<Result>): Promise<Result>
  db: Db
  /** Whether reads use it now. */
  isUsed(): boolean
  /** How far it is behind, measured every half second; while it is not usable, the time since it was. */
  lagSeconds(): number
  /** Ends the measuring. */
  stop(): void
}

/**
 * Begins to measure the standby. Rejects, naming the setting, if it is not a standby of the primary. One that does
 * not answer is not used until it does.
 */
export async function watchStandby({
  primary,
  standby,
  onChange,
  onFallback,
  maxLagMs = MAX_STANDBY_LAG_MS,
}: StandbyOptions): Promise<Standby> {
  const clock = createReplayClock(performance.now())
  /** Reads under way on the standby: each function gives its read up. */
  const underWay = new Set<() => void>()
  let fault: string | undefined = 'it has not answered yet'
  let [isMeasuring, wasUsed] = [false, false]

  function reasonNow(): string | undefined {
    if (fault !== undefined) return fault
    const lagMs = clock.lagMs(performance.now())
    if (clock.isKnown() && lagMs <= maxLagMs) return undefined
    return `it is ${(lagMs / 1_000).toFixed(1)} s behind, or has not answered for that time`
  }

  /** Resolves with whether the setting is wrong: it names another installation. */
  async function measure(): Promise<boolean> {
    // The position is read after this time, so it covers all commits before it.
    const at = performance.now()
    const [ahead, behind] = await Promise.all([readPrimaryPosition(primary), readStandbyPosition(standby)])
    fault = standbyFault(ahead, behind)
    if (fault === undefined) {
      clock.sample(at, ahead.position)
      clock.replayed(behind.position!)
    }
    return behind.identity !== ahead.identity
  }

  function judge(): void {
    const reason = reasonNow()
    if ((reason === undefined) === wasUsed) return
    wasUsed = reason === undefined
    if (!wasUsed) for (const giveUp of underWay) giveUp()
    onChange(reason)
  }

  const measureOnce = () =>
    measure().catch((error: Error) => {
      fault = error.message || error.name
      return false
    })

  // A primary, by contrast, may be a standby that has taken over: it must not keep the service from starting.
  if (await measureOnce()) throw new Error(`DATABASE_REPLICA_URL: ${fault}`)
  judge()
  if (!wasUsed) onChange(reasonNow())
  // A measurement may hang as long as a connection does; the time goes on, and so the lag rises.
  const timer = setInterval(() => {
    judge()
    if (isMeasuring) return
    isMeasuring = true
    void measureOnce().then(() => {
      isMeasuring = false
      judge()
    })
  }, EVERY_MS)

  return {
    db: standby,
    async read(on, read) {
      try {
        if (reasonNow() !== undefined) throw new UnusableError()
        return await orGivenUp(read(on.standby), underWay)
      } catch (error) {
        const reason = reasonOf(error)
        if (reason === undefined) throw error
        if (reason === 'error') fault = (error as Error).message
        onFallback(reason)
        return read(on.primary)
      }
    },
    isUsed: () => reasonNow() === undefined,
    lagSeconds: () => Math.max(0, clock.lagMs(performance.now())) / 1_000,
    stop: () => clearInterval(timer),
  }
}

class UnusableError extends Error {}

/** Settles as `reading` does, or rejects when the standby stops being usable. */
function orGivenUp<Result>(reading: Promise<Result>, underWay: Set<() => void>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new UnusableError())
    underWay.add(giveUp)
    void reading.then(resolve, reject).finally(() => underWay.delete(giveUp))
  })
}

/** Whether the standby has caused the error. A statement that takes too long would take as long on the primary. */
function reasonOf(error: unknown): FallbackReason | undefined {
  if (error instanceof UnusableError) return 'unusable'
  const kind = sqlErrorKind(error)
  if (kind === 'conflict') return 'conflict'
  const isReadOnly = (error as { code?: unknown }).code === '25006'
  return isReadOnly || (kind === 'infrastructure' && !isCancelled(error)) ? 'error' : undefined
}

/** Runs a read that may be up to two seconds behind. */
type RunRead = <Result>(read: (db: Db) => Promise<Result>) => Promise<Result>

/** The reads of tenants, each within its tenant's share of the connections, and those of the service itself. */
export interface Reads {
  of(tenantId: string): RunRead
  own: RunRead
}

/**
 * `dbOf` shares out `primary`; the standby's connections are shared out by `limits`. Without a standby: the primary.
 */
export function createReads(
  { primary, dbOf, standby }: { primary: Db; dbOf: DbOf; standby: Standby | undefined },
  limits: TurnLimits,
): Reads {
  if (!standby) return { of: (tenantId) => (read) => read(dbOf(tenantId)), own: (read) => read(primary) }
  const standbyOf = shareOut(standby.db, limits)
  return {
    of: (tenantId) => (read) => standby.read({ primary: dbOf(tenantId), standby: standbyOf(tenantId) }, read),
    own: (read) => standby.read({ primary, standby: standby.db }, read),
  }
}
