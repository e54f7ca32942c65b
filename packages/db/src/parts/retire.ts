/**
 * Retention by parts: a part whose events are settled and old is emptied; empty parts are dropped from the lower end,
 * and emptied neighbours folded. One process at a time does this.
 */
import { type Kysely, sql } from 'kysely'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { asOwner } from '../server/as-owner.js'
import type { Queryable } from '../server/connect.js'
import { isLockInTheWay } from '../server/sql-errors.js'
import type { PartRange } from '../server/to-parts.js'
import { dropEmptyParts } from './drop.js'
import { type Emptied, emptyPart } from './empty.js'
import { foldEmptied } from './fold.js'
import { findDueParts, type RetentionRule } from './part-list.js'

/** What happened to a part. */
export type Retired =
  | ({ what: 'emptied'; part: PartRange } & Emptied)
  | { what: 'dropped'; part: PartRange }
  | { what: 'folded'; part: PartRange; parts: number }

/**
 * Runs one round. `told` is called with everything that happened, as it happens. Ends early if another process does the
 * same, or when `stopping` is aborted. Rejects when Postgres fails; the next round continues.
 */
export async function retireParts(
  { db, url }: { db: Queryable; url: string },
  rule: RetentionRule,
  { stopping, told, pauseMs }: { stopping: AbortSignal; told: (retired: Retired) => void; pauseMs?: number },
): Promise<void> {
  const due = await findDueParts(db, rule)
  if (due.length === 0 && !(await isUnfinished(db))) return
  await asRetention(url, async (owner) => {
    for (const part of due) {
      if (stopping.aborted) return
      const emptied = await emptyPart(owner, part, rule.days, pauseMs)
      if (emptied.outcome !== 'all kept') told({ what: 'emptied', part, ...emptied })
    }
    if (stopping.aborted) return
    try {
      for (const part of await dropEmptyParts(owner)) told({ what: 'dropped', part })
      const folded = await foldEmptied(owner)
      if (folded) told({ what: 'folded', part: folded.into, parts: folded.parts })
    } catch (error) {
      if (!isLockInTheWay(error)) throw error
    }
  })
}

/** Whether an empty part may be left to drop, or emptied ones to fold. */
async function isUnfinished(db: Queryable): Promise<boolean> {
  const { rows } = await db.query(
    'SELECT EXISTS (SELECT FROM ledger_parts WHERE emptied_at IS NOT NULL AND dropped_at IS NULL) AS some',
  )
  return rows[0].some
}

/**
 * Runs `work` as the owner of the tables, while no other process does retention or restores a part. Resolves with
 * undefined, without running it, if another one does.
 */
export function asRetention<Result>(
  url: string,
  work: (db: Kysely<unknown>) => Promise<Result>,
): Promise<Result | undefined> {
  return asOwner(url, async (db) => {
    // Held by the session, not by a transaction: in one, no table can be detached concurrently.
    const { rows } = await sql<{ free: boolean }>`
      SELECT pg_try_advisory_lock(${ADVISORY_LOCKS.retention}) AS free`.execute(db)
    return rows[0]!.free ? work(db) : undefined
  })
}
