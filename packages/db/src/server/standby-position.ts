/** What a primary and a standby say about themselves: which installation they have, and where in its log they are. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Queryable } from './connect.js'

export interface Position {
  /** Identifies the server's data and the installation in it; a standby has that of its primary. */
  identity: string
  /** In bytes of the write-ahead log. `undefined` if it is asked as a standby and is none. */
  position: bigint | undefined
}

const positionAt = (lsn: string) => `
  SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || encode(sha256(entry_secret), 'hex') AS identity,
         (${lsn} - '0/0')::text AS position
  FROM installation`

/** Resolves with the end of the primary's log. Rejects if it is not a primary, or has no tables yet. */
export async function readPrimaryPosition(db: Queryable): Promise<Position & { position: bigint }> {
  const { rows } = await db.query({ name: 'primary-position', text: positionAt('pg_current_wal_lsn()') })
  return { identity: rows[0].identity, position: BigInt(rows[0].position) }
}

/** Resolves with the position up to which the standby has replayed. Rejects if it has no tables yet. */
export async function readStandbyPosition(db: Queryable): Promise<Position> {
  // A promoted one still knows what it has replayed last.
  const lsn = 'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END'
  const { rows } = await db.query({ name: 'standby-position', text: positionAt(lsn) })
  const { identity, position } = rows[0]
  return { identity, position: position === null ? undefined : BigInt(position) }
}

/** Why the second cannot be a standby of the first; undefined if it can. */
export function standbyFault(primary: Position, standby: Position): string | undefined {
  if (standby.identity !== primary.identity)
    return 'its database is not that of DATABASE_URL, but of another installation'
  if (standby.position === undefined) return 'it is no standby: it is not in recovery, so it is a primary'
  return undefined
}

/** What one look at a standby finds. */
export interface StandbyLook {
  /** Why it cannot be a standby of the primary. */
  fault: string | undefined
  /** How long it took until it had replayed what the primary had written, in milliseconds; undefined: too long. */
  replayedAfterMs: number | undefined
  /** What it had not replayed at the end, in bytes of the write-ahead log. */
  bytesBehind: number
}

/** Measures for at most `patienceMs` how long the standby takes to replay what the primary has written until now. */
export async function lookAtStandby(primary: Queryable, standby: Queryable, patienceMs: number): Promise<StandbyLook> {
  const startedAt = performance.now()
  const ahead = await readPrimaryPosition(primary)
  for (;;) {
    const behind = await readStandbyPosition(standby)
    const fault = standbyFault(ahead, behind)
    const ms = performance.now() - startedAt
    const bytesBehind = Number(ahead.position - (behind.position ?? 0n))
    if (fault !== undefined) return { fault, replayedAfterMs: undefined, bytesBehind: 0 }
    if (bytesBehind <= 0) return { fault, replayedAfterMs: ms, bytesBehind: 0 }
    if (ms > patienceMs) return { fault, replayedAfterMs: undefined, bytesBehind }
    await delay(50)
  }
}
