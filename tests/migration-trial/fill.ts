/** Fills the tables of the earlier version with processed events, quickly: without indexes, in SQL. */
import { prepare } from '@eventflow/db'

const BATCH = 500_000

const WITHOUT_INDEXES = `
  ALTER TABLE raw_events DROP CONSTRAINT raw_events_pkey;
  ALTER TABLE processed_events DROP CONSTRAINT processed_events_pkey;
  DROP INDEX raw_events_partition_seq, raw_events_correlation`

const INDEXES = [
  'ALTER TABLE raw_events ADD PRIMARY KEY (tenant_id, event_id)',
  'ALTER TABLE processed_events ADD PRIMARY KEY (tenant_id, event_id)',
  'CREATE INDEX raw_events_partition_seq ON raw_events (partition, seq)',
  `CREATE INDEX raw_events_correlation ON raw_events (tenant_id, correlation_id) WHERE correlation_id <> event_id::text`,
]

const RAW = `
  INSERT INTO raw_events (seq, tenant_id, event_id, type, source, key, partition, occurred_at, accepted_at, correlation_id, payload)
  SELECT nextval('raw_events_seq_seq'), 'default', id, 'order.placed', '/shop', 'customer-' || n % 100000, n % 100000 % 16,
         at, at, id::text, json_build_object('order', n, 'customer', n % 100000, 'note', repeat('x', 120))
  FROM (SELECT n, gen_random_uuid() AS id, now() - n * interval '100 ms' AS at FROM generate_series($1::integer, $2::integer) n OFFSET 0) e`

const PROCESSED = `
  INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id, correlation_id,
                                accepted_at, processed_at, processing_ms)
  SELECT tenant_id, event_id, seq, type, key, partition, payload::jsonb, 1, 'earlier', correlation_id, accepted_at, accepted_at, 1
  FROM raw_events WHERE seq >= $1 AND seq <= $2`

/** Stores `events` processed events. `url` is that of an administrator. */
export async function fill(url: string, events: number, say: (text: string) => void): Promise<void> {
  await prepare(url, [
    async (tx) => {
      for (const statement of WITHOUT_INDEXES.split(';')) await tx.query(statement)
      await tx.query(`SET LOCAL maintenance_work_mem = '1GB'`)
      for (let first = 1; first <= events; first += BATCH) {
        const range = [first, Math.min(events, first + BATCH - 1)]
        await tx.query(RAW, range)
        say(`stored ${range[1]} raw events`)
      }
      await tx.query('CREATE INDEX raw_events_seq ON raw_events (seq)')
      for (let first = 1; first <= events; first += BATCH) {
        await tx.query(PROCESSED, [first, Math.min(events, first + BATCH - 1)])
      }
      await tx.query('DROP INDEX raw_events_seq')
      for (const statement of INDEXES) {
        await tx.query(statement)
        say(statement)
      }
      await tx.query('ANALYZE raw_events, processed_events')
      await tx.query(`UPDATE partitions SET settled_seq = $1`, [events])
    },
  ])
  await prepare(url, [async (tx) => void (await tx.query('CHECKPOINT'))])
}
