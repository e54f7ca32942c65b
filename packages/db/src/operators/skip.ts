/**
 * Skipping: an operator turns an event that awaits a retry into a dead letter at once, so that the events behind it
 * continue. The owner has the event in memory and may be processing it. So the partition is taken from its owner first,
 * as if it had been given back: the fence stops what the owner is processing, and the next owner begins without the
 * event.
 */

import { EVENT_OF } from '../ledger/event-ids.js'
import { type Db, withTransaction } from '../server/connect.js'
import { recordAudit } from '../tenants/audit-log.js'

export interface Skip {
  tenantId: string
  id: string
  by: string
  reason: string
}

// A replayed event already has a dead letter, which is reopened.
const BURY = `
  INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                             errors, component, worker_id, attempts, history, correlation_id, accepted_at)
  SELECT r.tenant_id, r.event_id, r.seq, r.type, r.key, r.partition, r.payload, 'permanent', 'Skipped', $3,
         '[]', 'operator', $4, w.attempts, w.history, r.correlation_id, r.accepted_at
  FROM retries w CROSS JOIN ${EVENT_OF('w')} r
  WHERE w.tenant_id = $1 AND w.event_id = $2
    AND NOT EXISTS (SELECT FROM processed_events p WHERE p.seq = w.seq)
  ON CONFLICT (tenant_id, event_id) DO UPDATE
    SET failure_type = excluded.failure_type, error_class = excluded.error_class, message = excluded.message,
        errors = excluded.errors, component = excluded.component, worker_id = excluded.worker_id,
        attempts = excluded.attempts, history = excluded.history, failed_at = excluded.failed_at, status = 'open',
        resolved_at = NULL, resolved_by = NULL, reason = NULL
    WHERE failed_events.status = 'replaying'`

/** Thrown to roll everything back. */
class NotWaitingError extends Error {}

/** Skips an event. Resolves with false if it is not in `retries`. Its partition pauses for some seconds. */
export async function skipWaiting(db: Db, { tenantId, id, by, reason }: Skip): Promise<boolean> {
  const values = [tenantId, id]
  try {
    await withTransaction(db, async (tx) => {
      // Waits for the batch that is being settled. Only statements after it see the result of that batch.
      const { rowCount: waiting } = await tx.query(
        `UPDATE partitions SET owner = NULL, epoch = epoch + 1
         WHERE id = (SELECT partition FROM retries WHERE tenant_id = $1 AND event_id = $2)`,
        values,
      )
      const buried = waiting && (await tx.query(BURY, [...values, `skipped by ${by}: ${reason}`, by])).rowCount
      if (!buried) throw new NotWaitingError()
      await tx.query('DELETE FROM retries WHERE tenant_id = $1 AND event_id = $2', values)
      await recordAudit(tx, { tenantId, actor: by, action: 'skip', filter: { ids: [id] }, count: 1, reason })
    })
    return true
  } catch (error) {
    if (error instanceof NotWaitingError) return false
    throw error
  }
}
