/** `retries`: the events that wait for another attempt. Most of the time empty. */
import type { Attempt, RawEvent } from '@eventflow/core'
import type { Queryable } from './connect.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'

export interface WaitingRetry {
  event: RawEvent
  attempts: number
  history: Attempt[]
  /** Milliseconds until it is due, by the database's clock; negative when overdue. */
  dueInMs: number
}

/** What waits in a partition, in the order of acceptance. */
export async function readRetries(db: Queryable, partition: number): Promise<WaitingRetry[]> {
  const { rows } = await db.query({
    name: 'read-retries',
    text: `
      SELECT ${RAW_EVENT_COLUMNS}, w.attempts, w.history,
             (extract(epoch FROM w.due_at - now()) * 1000)::float8 AS due_in_ms
      FROM retries w JOIN raw_events r USING (tenant_id, event_id)
      WHERE w.partition = $1 ORDER BY r.seq`,
    values: [partition],
  })
  return rows.map((row) => ({
    event: rawEventOf(row),
    attempts: row.attempts,
    history: row.history,
    dueInMs: row.due_in_ms,
  }))
}
