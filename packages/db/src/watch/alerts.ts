/**
 * `alerts`: one row per incident. Inserting the row begins it, `cleared_at` ends it. Each of the two is sent once:
 * `raised_sent_at` and `cleared_sent_at` record that. An alert has at most one open incident, even with several
 * monitors.
 */
import type { Queryable } from '../server/connect.js'

/** The reading with which an incident began or ended. */
export interface AlertReading {
  value: number
  threshold: number
  message: string
}

export interface Incident {
  /** UUID. */
  id: string
  alert: string
  raisedAt: Date
  raisedWith: AlertReading
}

/** An incident with messages that are not sent yet. */
export interface UnsentIncident extends Incident {
  raisedUnsent: boolean
  /** Missing while the incident is open. */
  cleared: { at: Date; with: AlertReading } | undefined
}

/** Messages older than this are not sent any more, in days. */
const OLD_NEWS_DAYS = 1

/** The ids of the open incidents, by the names of their alerts. */
export async function readOpenIncidents(db: Queryable): Promise<Map<string, string>> {
  const { rows } = await db.query('SELECT alert, id FROM alerts WHERE cleared_at IS NULL')
  return new Map(rows.map(({ alert, id }) => [alert, id]))
}

/**
 * Begins an incident, unless the alert has an open one. `sent`: the message went out before the row could be written.
 * Returns whether this call began it.
 */
export async function openIncident(db: Queryable, incident: Incident, { sent }: { sent: boolean }): Promise<boolean> {
  const { rowCount } = await db.query(
    `INSERT INTO alerts (id, alert, raised_at, raised_with, raised_sent_at)
     VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)
     ON CONFLICT DO NOTHING`,
    [incident.id, incident.alert, incident.raisedAt, incident.raisedWith, sent],
  )
  return rowCount === 1
}

/** Ends an incident. Returns whether this call ended it. */
export async function closeIncident(db: Queryable, id: string, reading: AlertReading): Promise<boolean> {
  const { rowCount } = await db.query(
    'UPDATE alerts SET cleared_at = now(), cleared_with = $2 WHERE id = $1 AND cleared_at IS NULL',
    [id, reading],
  )
  return rowCount === 1
}

/** Claims the oldest incident with an unsent message; for `ms` milliseconds no other sender gets it. */
export async function claimUnsent(db: Queryable, ms: number): Promise<UnsentIncident | undefined> {
  const { rows } = await db.query(
    `UPDATE alerts SET sending_until = now() + $1 * interval '1 millisecond'
     WHERE id = (SELECT id FROM alerts
                 WHERE (raised_sent_at IS NULL OR (cleared_at IS NOT NULL AND cleared_sent_at IS NULL))
                   AND sending_until < now() AND coalesce(cleared_at, raised_at) > now() - $2 * interval '1 day'
                 ORDER BY raised_at LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING id, alert, raised_at, raised_with, raised_sent_at IS NULL AS raised_unsent, cleared_at, cleared_with`,
    [ms, OLD_NEWS_DAYS],
  )
  const [row] = rows
  return (
    row && {
      id: row.id,
      alert: row.alert,
      raisedAt: row.raised_at,
      raisedWith: row.raised_with,
      raisedUnsent: row.raised_unsent,
      cleared: row.cleared_at ? { at: row.cleared_at, with: row.cleared_with } : undefined,
    }
  )
}

/** Records that the message about the beginning or the end was sent, and releases the claim. */
export async function markSent(db: Queryable, id: string, edge: 'raised' | 'cleared'): Promise<void> {
  await db.query(`UPDATE alerts SET ${edge}_sent_at = now(), sending_until = '-infinity' WHERE id = $1`, [id])
}

/** How many open dead letters were written in the last `seconds`. */
export async function countFreshDeadLetters(db: Queryable, seconds: number): Promise<number> {
  const { rows } = await db.query(
    `SELECT count(*) AS count FROM failed_events WHERE status = 'open' AND failed_at > now() - $1 * interval '1 second'`,
    [seconds],
  )
  return rows[0].count
}

/**
 * A number that rises when events are settled, some seconds late: Postgres' count of rows written to the tables for
 * them.
 */
export async function readProgress(db: Queryable): Promise<number> {
  const { rows } = await db.query(
    `SELECT sum(n_tup_ins + n_tup_upd)::bigint AS rows FROM pg_stat_user_tables
     WHERE relid IN ('failed_events'::regclass, 'retries'::regclass)
        OR relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'processed_events'::regclass)`,
  )
  return rows[0].rows
}
