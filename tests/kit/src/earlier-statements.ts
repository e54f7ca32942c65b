/** Statements of earlier versions, for tests with databases and processes of those versions, and for the bench. */
import { firstDelivery, identityOf, type Processed } from '@eventflow/core'
import {
  type Acceptance,
  bigintColumn,
  jsonbColumn,
  type Lease,
  type NewEvent,
  type Queryable,
  smallintColumn,
  textColumn,
  timestamptzColumn,
  uuidColumn,
} from '@eventflow/db'

/**
 * Inserts events as versions up to 0.1.0 did, which had ordinary tables: an id was unique by the key of `raw_events`.
 * Resolves with the values that Postgres assigned to the new ones, in the order of the events.
 */
export async function acceptAsBeforeParts(
  db: Queryable,
  events: readonly NewEvent[],
): Promise<Map<NewEvent, Acceptance>> {
  const { rows } = await db.query({
    name: 'insert-raw-events',
    text: `
      WITH inserted AS (
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
        RETURNING tenant_id, event_id, seq, accepted_at)
      SELECT min(accepted_at) AS accepted_at, array_agg(seq ORDER BY seq) AS seqs,
             CASE WHEN count(*) < cardinality($2) THEN array_agg(tenant_id || '/' || event_id ORDER BY seq) END AS identities
      FROM inserted`,
    values: [
      textColumn(events.map((e) => e.tenantId)),
      uuidColumn(events.map((e) => e.id)),
      textColumn(events.map((e) => e.externalId)),
      textColumn(events.map((e) => e.type)),
      textColumn(events.map((e) => e.source)),
      textColumn(events.map((e) => e.key)),
      smallintColumn(events.map((e) => e.partition)),
      timestamptzColumn(events.map((e) => e.occurredAt)),
      textColumn(events.map((e) => e.correlationId)),
      textColumn(events.map((e) => e.causationId)),
      textColumn(events.map((e) => e.traceparent)),
      textColumn(
        events.map((e) => e.payload),
        'json',
      ),
      textColumn(
        events.map((e) => e.extensions && JSON.stringify(e.extensions)),
        'json',
      ),
    ],
  })
  const { accepted_at, seqs, identities } = rows[0] as {
    accepted_at: Date | null
    seqs: string[] | null
    identities: string[] | null
  }
  if (!accepted_at || !seqs) return new Map()
  const acceptedAt = accepted_at.toISOString()
  const byIdentity = identities && new Map(events.map((event) => [identityOf(event), event]))
  const eventAt = (i: number) => (byIdentity ? byIdentity.get(identities[i]!)! : events[i]!)
  return new Map(seqs.map((seq, i) => [eventAt(i), { seq: Number(seq), acceptedAt }]))
}

/** Like `acceptAsBeforeParts`. Resolves with the seqs of the new events, in the order of the events. */
export async function insertAsBeforeParts(db: Queryable, events: readonly NewEvent[]): Promise<number[]> {
  return [...(await acceptAsBeforeParts(db, events)).values()].map(({ seq }) => seq)
}

/** An event as the statements of earlier versions name it. */
export interface EarlierEvent {
  tenantId: string
  id: string
  seq: number
  partition: number
}

/** Resolves with the ids of those of these events that are stored, as versions up to 0.1.0 looked for duplicates. */
export async function findAsBeforeParts(db: Queryable, ids: readonly { tenantId: string; id: string }[]) {
  const { rows } = await db.query({
    name: 'find-raw-events',
    text: `
      SELECT r.event_id AS id, r.seq,
             p.event_id IS NULL AND w.event_id IS NULL AND f.event_id IS NULL AS undelivered
      FROM unnest($1::text[], $2::uuid[]) AS wanted(tenant_id, event_id)
      JOIN raw_events r USING (tenant_id, event_id)
      LEFT JOIN processed_events p USING (tenant_id, event_id)
      LEFT JOIN failed_events f USING (tenant_id, event_id)
      LEFT JOIN retries w USING (tenant_id, event_id)`,
    values: [ids.map((e) => e.tenantId), ids.map((e) => e.id)],
  })
  return rows as { id: string; seq: number; undelivered: boolean }[]
}

/**
 * Settles events as processed, as workers of versions up to 0.1.0 did: behind the fence, each partition's under its
 * lease. Resolves with the seqs of the events that were not settled before.
 */
export async function insertProcessedAsBeforeParts(
  db: Queryable,
  commits: readonly Processed[],
  leases: readonly Lease[],
  by: { workerId: string; processingMs: number },
): Promise<number[]> {
  const events = commits.map((c) => c.delivery.event)
  const { rows } = await db.query({
    name: 'insert-processed',
    text: `
      WITH holding AS MATERIALIZED (
        SELECT id FROM partitions JOIN partition_marks USING (id)
        JOIN unnest($12::smallint[], $13::bigint[], $14::bigint[]) AS held(id, epoch, dirty) USING (id, epoch)
        WHERE held.dirty IS NULL OR held.dirty = partition_marks.dirty
        ORDER BY id FOR SHARE OF partitions), inserted AS (
        INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, history,
                                      worker_id, correlation_id, accepted_at, processing_ms)
        SELECT tenant_id, event_id, seq, type, key, partition, payload, attempts, history,
               $15, correlation_id, accepted_at, $16
        FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::smallint[], $7::jsonb[],
                    $8::smallint[], $9::jsonb[], $10::text[], $11::timestamptz[])
          AS e(tenant_id, event_id, seq, type, key, partition, payload, attempts, history, correlation_id, accepted_at)
        WHERE partition IN (SELECT id FROM holding)
          AND NOT EXISTS (SELECT FROM failed_events f
                          WHERE f.tenant_id = e.tenant_id AND f.event_id = e.event_id AND f.status IN ('open', 'discarded'))
        ON CONFLICT DO NOTHING
        RETURNING seq)
      SELECT (SELECT coalesce(array_agg(id), '{}') FROM holding) AS holding,
             CASE WHEN count(*) < cardinality($3) THEN coalesce(array_agg(seq), '{}') END AS inserted
      FROM inserted`,
    values: [
      textColumn(events.map((e) => e.tenantId)),
      uuidColumn(events.map((e) => e.id)),
      bigintColumn(events.map((e) => e.seq)),
      textColumn(events.map((e) => e.type)),
      textColumn(events.map((e) => e.key)),
      smallintColumn(events.map((e) => e.partition)),
      jsonbColumn(commits.map((c) => c.payload)),
      smallintColumn(commits.map((c) => c.delivery.attempts + 1)),
      jsonbColumn(
        commits.map(({ delivery: { history } }) => (history.length > 0 ? JSON.stringify(history) : undefined)),
      ),
      textColumn(events.map((e) => e.correlationId)),
      timestamptzColumn(events.map((e) => e.acceptedAt)),
      smallintColumn(leases.map((l) => l.partition)),
      bigintColumn(leases.map((l) => l.epoch)),
      bigintColumn(leases.map((l) => l.dirty)),
      by.workerId,
      by.processingMs,
    ],
  })
  const { inserted } = rows[0] as { inserted: string[] | null }
  return inserted?.map(Number) ?? events.map(({ seq }) => seq)
}

/** Like `insertProcessedAsBeforeParts`, for events of one partition of which only the identity matters. */
export function settleAsBeforeParts(
  db: Queryable,
  events: readonly EarlierEvent[],
  lease: { partition: number; epoch: number },
): Promise<number[]> {
  const fixed = { type: 'test.done', source: '/test', key: 'key', data: {} }
  const commits = events.map(({ id, ...event }): Processed => {
    const acceptedAt = new Date().toISOString()
    const complete = { ...event, ...fixed, id, correlationId: id, acceptedAt, occurredAt: acceptedAt }
    return { kind: 'processed', delivery: firstDelivery(complete, '{}', []), data: {}, payload: '{}' }
  })
  return insertProcessedAsBeforeParts(db, commits, [{ ...lease, dirty: null }], {
    workerId: 'earlier',
    processingMs: 1,
  })
}

/** Records that events will be retried at once, as workers of versions up to 0.1.0 did. */
export async function retryAsBeforeParts(
  db: Queryable,
  events: readonly Omit<EarlierEvent, 'seq'>[],
  attempts: number,
): Promise<void> {
  await db.query({
    name: 'upsert-retries',
    text: `
      INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at, history)
      SELECT tenant_id, event_id, partition, attempts, now(), '[]'
      FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::smallint[]) AS e(tenant_id, event_id, partition, attempts)
      ON CONFLICT (tenant_id, event_id) DO UPDATE
        SET attempts = excluded.attempts, due_at = excluded.due_at, history = excluded.history, crashes = 0
        WHERE retries.attempts < excluded.attempts`,
    values: [
      events.map((e) => e.tenantId),
      events.map((e) => e.id),
      events.map((e) => e.partition),
      events.map(() => attempts),
    ],
  })
}

/** Records that events of a partition are blocked, as workers of versions up to 0.1.0 did. */
export async function recordWaitingAsBeforeParts(
  db: Queryable,
  { partition, epoch }: { partition: number; epoch: number },
  events: readonly { tenantId: string; id: string }[],
): Promise<void> {
  await db.query({
    name: 'record-waiting',
    text: `
      WITH owned AS (SELECT id FROM partitions WHERE id = $1 AND epoch = $2 FOR SHARE), written AS (
        INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at)
        SELECT tenant_id, event_id, id, 0, now()
        FROM owned, unnest($3::text[], $4::uuid[]) AS waiting(tenant_id, event_id)
        ON CONFLICT DO NOTHING)
      SELECT FROM owned`,
    values: [partition, epoch, events.map((e) => e.tenantId), events.map((e) => e.id)],
  })
}

/** Removes the retries of settled events, as workers of versions up to 0.1.0 did. */
export async function endWaitingAsBeforeParts(
  db: Queryable,
  events: readonly { tenantId: string; id: string }[],
): Promise<void> {
  await db.query({
    name: 'end-waiting',
    text: `
      WITH settled AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS e(tenant_id, event_id)),
           processed AS MATERIALIZED (
             SELECT tenant_id, event_id FROM processed_events JOIN settled USING (tenant_id, event_id)
             FOR KEY SHARE OF processed_events),
           buried AS MATERIALIZED (
             SELECT tenant_id, event_id FROM failed_events JOIN settled USING (tenant_id, event_id)
             WHERE status IN ('open', 'discarded') FOR SHARE OF failed_events),
           replayed AS (
             UPDATE failed_events f SET status = 'replayed', resolved_at = clock_timestamp()
             FROM processed p WHERE f.tenant_id = p.tenant_id AND f.event_id = p.event_id AND f.status = 'replaying')
      DELETE FROM retries USING (SELECT * FROM processed UNION ALL SELECT * FROM buried) AS ended
      WHERE retries.tenant_id = ended.tenant_id AND retries.event_id = ended.event_id`,
    values: [events.map((e) => e.tenantId), events.map((e) => e.id)],
  })
}

/** Removes processed events with their raw events, as the retention of versions up to 0.1.0 did. */
export async function removeAsBeforeParts(
  db: Queryable,
  events: readonly { tenantId: string; id: string }[],
): Promise<void> {
  await db.query(
    `WITH gone AS (
       DELETE FROM processed_events p USING unnest($1::text[], $2::uuid[]) AS s(tenant_id, event_id)
       WHERE p.tenant_id = s.tenant_id AND p.event_id = s.event_id RETURNING p.tenant_id, p.event_id)
     DELETE FROM raw_events r USING gone WHERE r.tenant_id = gone.tenant_id AND r.event_id = gone.event_id`,
    [events.map((e) => e.tenantId), events.map((e) => e.id)],
  )
}
