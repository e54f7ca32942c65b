/** Further attributes of CloudEvents: subject, dataschema and extension attributes. */
import { type Kysely, sql } from 'kysely'

export async function extensions(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE raw_events ADD COLUMN extensions json`.execute(db)
  await sql`
    CREATE OR REPLACE VIEW events AS
    SELECT r.seq, r.tenant_id, r.event_id, r.external_id, r.type, r.source, r.key, r.partition,
           CASE WHEN p.event_id IS NOT NULL THEN 'processed'
                WHEN f.status = 'open' THEN 'failed'
                WHEN f.status = 'discarded' THEN 'discarded'
                WHEN w.event_id IS NOT NULL THEN 'retrying'
                ELSE 'accepted' END AS status,
           coalesce(p.attempts, w.attempts, f.attempts, 0) AS attempts,
           r.occurred_at, r.accepted_at, p.processed_at, f.failed_at, w.due_at AS retry_at,
           coalesce(p.worker_id, f.worker_id) AS worker_id, p.processing_ms,
           f.failure_type, f.error_class, f.message, f.errors, f.component,
           f.resolved_at, f.resolved_by, f.reason,
           coalesce(p.history, w.history, f.history) AS history,
           r.correlation_id, r.causation_id, r.traceparent,
           r.payload, p.payload AS result, r.extensions
    FROM raw_events r
    LEFT JOIN processed_events p USING (tenant_id, event_id)
    LEFT JOIN failed_events f USING (tenant_id, event_id)
    LEFT JOIN retries w USING (tenant_id, event_id)`.execute(db)
}
