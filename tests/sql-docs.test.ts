/**
 * Compares docs/sql.md with the database: every query runs, and scans no large table unless the document says so.
 * EVENTFLOW_TEST_ROWS=1000000 checks the plans on a million events.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type Db, makeAhead, migrate, prepare, readReach } from '@eventflow/db'
import { loadDefinitions } from '@eventflow/sdk'
import { analyzeAsAutovacuum, createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const ROWS = Number(process.env.EVENTFLOW_TEST_ROWS ?? 100_000)
const ROOT = join(import.meta.dirname, '../..')
const LARGE = ['raw_events', 'processed_events', 'event_ids', 'failed_events']
/** The parts that have rows. */
const PARTS = 10

const [, chapter] = readFileSync(join(ROOT, 'docs/sql.md'), 'utf8').split('## Queries')
const questions = [...chapter!.matchAll(/\*\*(.+?)\*\*.*?```sql\n(.*?)```\n\n(\*Reads whole tables)?/gs)].map(
  ([, question, sql, reads]) => ({ question: question!, sql: sql!, readsWholeTables: reads !== undefined }),
)

let db: Db

type Tx = Parameters<Parameters<typeof prepare>[1][number]>[0]

/** Of 1,000 events one waits for another attempt, one is unsettled, ten have failed, and all others are processed. */
async function load(tx: Tx, rows: number): Promise<void> {
  await tx.query(`
    INSERT INTO raw_events (seq, tenant_id, event_id, type, source, key, partition, occurred_at, accepted_at, correlation_id,
                            payload)
    SELECT nextval('event_seq'), 'default', id, type, '/', 'key-' || n % 5000, n % 16, at, at,
           CASE WHEN n % 100 = 0 THEN 'trip-' || n / 1000 ELSE id::text END,
           '{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}'
    FROM (SELECT n, md5(n::text)::uuid AS id, now() - (${rows} - n) * interval '1 ms' AS at,
                 CASE WHEN n % 4 = 0 THEN 'order.created' ELSE 'flight.completed' END AS type
          FROM generate_series(1, ${rows}) n) e`)
  await tx.query(`
    INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
    SELECT tenant_id, event_id, bucket, seq, partition FROM raw_events, ledger ORDER BY tenant_id, event_id`)
  await tx.query(`
    INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, history, worker_id,
                                  correlation_id, accepted_at, processed_at, processing_ms, occurred_at, position)
    SELECT tenant_id, event_id, seq, type, key, partition, payload::jsonb, 1, NULL, 'w', correlation_id, accepted_at, accepted_at, 1,
           occurred_at, row_number() OVER (PARTITION BY partition ORDER BY seq)
    FROM raw_events WHERE seq % 1000 > 11 ORDER BY seq`)
  await tx.query(`
    INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                               errors, component, worker_id, attempts, history, correlation_id, accepted_at, failed_at)
    SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent',
           CASE WHEN seq % 3 = 0 THEN 'RuleViolation' ELSE 'SchemaError' END, 'wrong',
           '[{"pointer": "/distance", "message": "is wrong"}]', 'validate', 'w', 1, '[]', correlation_id, accepted_at, accepted_at
    FROM raw_events WHERE seq % 1000 BETWEEN 2 AND 11`)
  await tx.query(`
    INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
    SELECT tenant_id, event_id, seq, partition, 1, now() FROM raw_events WHERE seq % 1000 = 1`)
  // Everything is settled except the last event of each partition.
  await tx.query(
    `UPDATE partitions p SET settled_seq = (SELECT max(seq) - 1000 FROM raw_events WHERE partition = p.id)`,
  )
}

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  Plans?: Plan[]
}

/** The tables of which a plan scans one or more parts completely. */
function readAsAWhole(plan: Plan): string[] {
  const own = /^(Parallel )?Seq Scan$/.test(plan['Node Type'])
    ? [plan['Relation Name']!.replace(/_(\d+|kept)$/, '')]
    : []
  return [...own, ...(plan.Plans ?? []).flatMap(readAsAWhole)]
}

beforeAll(async () => {
  const url = await createDatabase({ migrated: false })
  const width = { partEvents: ROWS / PARTS, keptDays: 0 }
  await migrate(url, { partitions: 16, partEvents: width.partEvents })
  db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
  await makeAhead(url, (await readReach(db))!, width, PARTS)
  const { events: samples } = await loadDefinitions(join(ROOT, 'packages/samples/dist/events'))
  const tables = [...samples.values()].flatMap((definition) => definition.prepare ?? [])
  await prepare(url, [...tables, (tx) => load(tx, ROWS)])
  await analyzeAsAutovacuum(url)
}, 300_000)

afterAll(() => db.end())

test('the events are in many parts', async () => {
  const { rows } = await db.query(
    'SELECT count(DISTINCT r.tableoid) AS raw, count(DISTINCT p.tableoid) AS processed FROM raw_events r JOIN processed_events p USING (seq)',
  )
  expect(rows).toEqual([{ raw: PARTS, processed: PARTS }])
})

test('there are as many questions as it says', () => {
  expect(questions).toHaveLength(24)
})

describe('the query', () => {
  test.each(questions)('$question', async ({ sql, readsWholeTables }) => {
    await db.query(sql)
    const { rows } = await db.query(`EXPLAIN (FORMAT JSON) ${sql}`)
    const whole = readAsAWhole(rows[0]['QUERY PLAN'][0].Plan).filter((table) => LARGE.includes(table))
    expect(whole).toEqual(readsWholeTables ? expect.arrayContaining([expect.any(String)]) : [])
  })
})

test('a full scan of a table is detected', async () => {
  const { rows } = await db.query(`EXPLAIN (FORMAT JSON) SELECT FROM events WHERE key = 'key-1'`)
  expect(readAsAWhole(rows[0]['QUERY PLAN'][0].Plan)).toContain('raw_events')
})
