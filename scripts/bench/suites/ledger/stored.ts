/** Stores many settled events at once, without the pipeline. */
import type { Queryable } from '@eventflow/db'
import { orderOf, randomUser, USERS } from '../../load/order-events.js'
import { PARTITIONS } from '../../variants/eventflow.js'

/** Older than any event that retention keeps in a measurement, in days. */
const AGE = 100

/**
 * Stores the first `count` events of an empty ledger in parts, with their ids, as settled long ago. The next event has
 * the seq after them.
 */
export async function storeSettled(db: Queryable, count: number): Promise<void> {
  const payload = JSON.stringify(orderOf(randomUser(USERS)))
  await db.query(
    `WITH ids AS (
       INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
       SELECT 'default', gen_random_uuid(), bucket, nextval('event_seq'), n % $2
       FROM ledger, generate_series(1, $1::integer) n
       RETURNING event_id, seq, partition),
     raw AS (
       INSERT INTO raw_events (seq, tenant_id, event_id, type, source, key, partition, occurred_at, accepted_at,
                               correlation_id, payload)
       SELECT seq, 'default', event_id, 'bench.plain', '/bench', 'u-' || seq, partition, at, at, event_id::text, $3::json
       FROM ids, (SELECT now() - $4 * interval '1 day' AS at) long_ago)
     INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                   correlation_id, accepted_at, processed_at, processing_ms, occurred_at, position)
     SELECT 'default', event_id, seq, 'bench.plain', 'u-' || seq, partition, $3::jsonb, 1, 'bench', event_id::text, at, at,
            1, at, nextval('log_position')
     FROM ids, (SELECT now() - $4 * interval '1 day' AS at) long_ago`,
    [count, PARTITIONS, payload, AGE],
  )
  await db.query('UPDATE partitions SET settled_seq = $1', [count])
}
