/** Statements of earlier versions, for tests with databases and processes of those versions. */
import type { Db, NewEvent } from '@eventflow/db'

/**
 * Inserts events as versions up to 0.1.0 did, which had ordinary tables: an id was unique by the key of `raw_events`.
 * Resolves with the seqs of the new ones, in the order of the events.
 */
export async function insertAsBeforeParts(db: Db, events: readonly NewEvent[]): Promise<number[]> {
  const { rows } = await db.query(
    `WITH inserted AS (
       INSERT INTO raw_events (seq, tenant_id, event_id, external_id, type, source, key, partition, occurred_at,
                               correlation_id, causation_id, traceparent, payload, extensions)
       SELECT seq, tenant_id, event_id, external_id, type, source, key, partition,
              coalesce(occurred_at, date_trunc('milliseconds', now())), correlation_id, causation_id, traceparent, payload,
              extensions
       FROM (SELECT nextval('raw_events_seq_seq') AS seq, e.*
             FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
                         $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::json[], $13::json[])
               AS e(tenant_id, event_id, external_id, type, source, key, partition,
                    occurred_at, correlation_id, causation_id, traceparent, payload, extensions)) numbered
       ORDER BY tenant_id, event_id
       ON CONFLICT DO NOTHING
       RETURNING seq)
     SELECT seq FROM inserted ORDER BY seq`,
    [
      events.map((e) => e.tenantId),
      events.map((e) => e.id),
      events.map((e) => e.externalId),
      events.map((e) => e.type),
      events.map((e) => e.source),
      events.map((e) => e.key),
      events.map((e) => e.partition),
      events.map((e) => e.occurredAt),
      events.map((e) => e.correlationId),
      events.map((e) => e.causationId),
      events.map((e) => e.traceparent),
      events.map((e) => e.payload),
      events.map((e) => e.extensions && JSON.stringify(e.extensions)),
    ],
  )
  return rows.map(({ seq }) => seq)
}
