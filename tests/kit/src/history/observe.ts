/**
 * What the checker observes in the database: triggers record every write with its writer, and the rows are read in
 * order.
 */
import { ADVISORY_LOCKS, type Db } from '@eventflow/db'
import { type Redis, readDepths } from '@eventflow/redis'
import { type Checker, createChecker } from './checker.js'
import { readJournal } from './journal.js'
import type { Verdict } from './verdict.js'

/** Rows read by one statement, well below the statement timeout. */
const PAGE = 50_000

/** A skip by an operator is not a worker's write: it takes the partition from its owner. */
const NOT_SKIPPED = `WHERE component <> 'operator'`

/** The attempt number of a replay in a history. */
const REPLAY = 0

/** The tables from which retention removes events, and the columns that the checker reads. */
const HISTORY = {
  raw_events: 'seq, tenant_id, event_id, accepted_at',
  processed_events: 'seq, tenant_id, event_id, attempts, history',
  failed_events: 'seq, tenant_id, event_id, attempts, history, status, error_class, message',
}

/** The tables of which retention removes whole parts. */
const PARTS = ['raw_events', 'processed_events'] as const

/** A table of the history, including the rows that retention has removed from it, and when it did. */
const everIn = (table: keyof typeof HISTORY) =>
  `(SELECT ${HISTORY[table]}, NULL::timestamptz AS removed_at FROM ${table} UNION ALL TABLE removed_${table}) AS ever`

const WATCH = [
  `CREATE TABLE watched_owners (
     at bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, partition smallint, owner text, epoch bigint)`,
  `CREATE TABLE watched_writes (
     at bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, partition smallint, worker text, owner text, epoch bigint,
     stale boolean NOT NULL DEFAULT false)`,

  `CREATE FUNCTION watch_owner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
     INSERT INTO watched_owners (partition, owner, epoch) VALUES (NEW.id, NEW.owner, NEW.epoch);
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER watch_owner AFTER UPDATE ON partitions FOR EACH ROW
     WHEN (NEW.owner IS NOT NULL AND (OLD.owner IS DISTINCT FROM NEW.owner OR OLD.epoch <> NEW.epoch))
     EXECUTE FUNCTION watch_owner()`,

  // The snapshot of a trigger is that of its statement: later than the one that read the fence.
  ...['processed', 'failed'].flatMap((what) => [
    `CREATE FUNCTION watch_${what}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
       INSERT INTO watched_writes (partition, worker, owner, epoch)
       SELECT p.id, w.worker_id, p.owner, p.epoch
       FROM (SELECT DISTINCT partition, worker_id FROM written ${what === 'failed' ? NOT_SKIPPED : ''}) w
       JOIN partitions p ON p.id = w.partition;
       RETURN NULL;
     END $$`,
    `CREATE TRIGGER watch_write AFTER INSERT ON ${what}_events REFERENCING NEW TABLE AS written
       FOR EACH STATEMENT EXECUTE FUNCTION watch_${what}()`,
  ]),

  // Deferred: checks again when the transaction is about to be committed, which detects a fence that locks nothing.
  `CREATE FUNCTION watch_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
     UPDATE watched_writes SET stale = true WHERE at = NEW.at AND NOT EXISTS (
       SELECT FROM partitions p WHERE p.id = NEW.partition AND p.epoch = NEW.epoch AND p.owner IS NOT DISTINCT FROM NEW.owner);
     RETURN NULL;
   END $$`,
  `CREATE CONSTRAINT TRIGGER watch_commit AFTER INSERT ON watched_writes DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW EXECUTE FUNCTION watch_commit()`,

  // Retention empties a part by TRUNCATE, which no trigger of the table sees. It records that it looks at the part
  // before, and that it is emptied after it has put back what is kept. An event that is kept has all its rows still.
  `CREATE FUNCTION watch_part() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
     IF NEW.emptied_at IS DISTINCT FROM OLD.emptied_at THEN
       ${PARTS.map(
         (table) => `
           INSERT INTO removed_${table} SELECT ${HISTORY[table]} FROM leaving_${table} l
           WHERE NOT EXISTS (SELECT FROM raw_events r WHERE r.partition = l.partition AND r.seq = l.seq);`,
       ).join('')}
     END IF;
     ${PARTS.map((table) => `DELETE FROM leaving_${table};`).join(' ')}
     IF NEW.emptied_at IS NOT DISTINCT FROM OLD.emptied_at AND NEW.looked_at IS NOT NULL THEN
       ${PARTS.map(
         (table) => `
           INSERT INTO leaving_${table} SELECT partition, ${HISTORY[table]} FROM ${table}
           WHERE seq >= OLD.from_seq AND seq < OLD.until_seq;`,
       ).join('')}
     END IF;
     RETURN NULL;
   END $$`,
  ...PARTS.map(
    (table) => `CREATE TABLE leaving_${table} AS SELECT partition, ${HISTORY[table]} FROM ${table} WITH NO DATA`,
  ),
  `CREATE TRIGGER watch_part AFTER UPDATE OF looked_at, emptied_at ON ledger_parts FOR EACH ROW
     EXECUTE FUNCTION watch_part()`,

  // Retention removes rows under its own lock; rows deleted for other reasons must not be excused.
  ...Object.entries(HISTORY).flatMap(([table, columns]) => [
    `CREATE TABLE removed_${table} AS SELECT ${columns} FROM ${table} WITH NO DATA`,
    `ALTER TABLE removed_${table} ADD COLUMN removed_at timestamptz DEFAULT clock_timestamp()`,
    `CREATE INDEX ON removed_${table} (tenant_id, seq)`,
    `CREATE FUNCTION watch_removed_${table}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
       IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
                  AND (classid::bigint << 32) + objid::bigint = ${ADVISORY_LOCKS.retention}) THEN
         INSERT INTO removed_${table} SELECT ${columns} FROM removed;
       END IF;
       RETURN NULL;
     END $$`,
    `CREATE TRIGGER watch_removed AFTER DELETE ON ${table} REFERENCING OLD TABLE AS removed
       FOR EACH STATEMENT EXECUTE FUNCTION watch_removed_${table}()`,
  ]),
]

/**
 * Begins to observe a migrated database: every change of owner, every settled batch, and the rows that retention
 * removes.
 */
export async function watchDatabase(db: Db): Promise<void> {
  for (const statement of WATCH) await db.query(statement)
}

/** How many events retention has removed since then; the checker has still seen them. */
export async function countRemoved(db: Db): Promise<number> {
  return (await db.query('SELECT count(*)::integer AS count FROM removed_raw_events')).rows[0].count
}

/**
 * Reads a tenant's journal, its rows, and what belongs to no tenant: owners and writes, and Redis. Then it decides.
 * Everything must have been drained, or have had enough time to. `knownMs`: see `createChecker`.
 */
export async function checkHistory(
  journalFile: string,
  db: Db,
  redis: Redis,
  prefix: string,
  { tenantId = 'default', knownMs }: { tenantId?: string; knownMs?: number } = {},
): Promise<Verdict> {
  const checker = createChecker(knownMs)
  for await (const attempt of readJournal(journalFile)) checker.attempt(attempt)
  await readHistory(checker, db, redis, prefix, tenantId)
  return checker.verdict()
}

/** Gives a checker that already has the journal the rows of a tenant, and what belongs to no tenant. */
export async function readHistory(
  checker: Checker,
  db: Db,
  redis: Redis,
  prefix: string,
  tenantId = 'default',
): Promise<void> {
  await readTenant(checker, db, tenantId)
  await readPipeline(checker, db)
  const depths = await readDepths(redis, prefix, 16)
  for (const { partition, length, pending } of depths) {
    checker.remains(`entries in the stream of partition ${partition}`, length)
    checker.remains(`pending entries of partition ${partition}`, pending)
  }
}

async function readTenant(checker: Checker, db: Db, tenantId: string): Promise<void> {
  const bySeq = { column: 'seq', type: 'bigint', tenantId }
  const ms = (time: string) => `extract(epoch FROM ${time})::float8 * 1000`
  await eachRow(
    db,
    `SELECT seq AS cursor, event_id, ${ms('accepted_at')} AS at, ${ms('removed_at')} AS removed_at
     FROM ${everIn('raw_events')}`,
    bySeq,
    (row) => checker.accepted({ id: row.event_id, at: row.at, ...(row.removed_at && { removedAt: row.removed_at }) }),
  )
  for (const id of await skippedBy(db, tenantId)) checker.skipped(id)
  const ended = (table: keyof typeof HISTORY, end: string, errorClass: string) =>
    eachRow(
      db,
      `SELECT seq AS cursor, event_id, ${end} AS "end", attempts, ${errorClass} AS error_class, history
       FROM ${everIn(table)}`,
      bySeq,
      (row) => {
        const history: { attempt: number }[] = row.history ?? []
        const replay = history.findLastIndex(({ attempt }) => attempt === REPLAY)
        checker.ended({
          ...{ id: row.event_id, end: row.end, attempts: row.attempts },
          ...{ failures: history.length - replay - 1, again: replay >= 0 },
          ...(row.error_class && { errorClass: row.error_class }),
        })
      },
    )
  await ended('processed_events', `'processed'`, 'NULL')
  const end = `CASE WHEN status IN ('replaying', 'replayed') THEN status ELSE 'dead' END`
  await ended('failed_events', end, `error_class || ': ' || message`)
  const byTime = { column: 'at', type: 'bigint', tenantId }
  await eachRow(db, 'SELECT at AS cursor, event_id, key, n FROM effects', byTime, (row) =>
    checker.effect({ at: row.cursor, id: row.event_id, key: row.key, n: row.n }),
  )
  const byKey = { column: 'key', type: 'text', tenantId }
  await eachRow(db, 'SELECT key AS cursor, count, sum FROM totals', byKey, (row) =>
    checker.total({ key: row.cursor, count: row.count, sum: row.sum }),
  )
}

/** The events that operators have skipped, by the audit log. */
async function skippedBy(db: Db, tenantId: string): Promise<string[]> {
  const { rows } = await db.query(
    `SELECT jsonb_array_elements_text(filter->'ids') AS id FROM audit_log WHERE action = 'skip' AND tenant_id = $1`,
    [tenantId],
  )
  return rows.map(({ id }) => id)
}

async function readPipeline(checker: Checker, db: Db): Promise<void> {
  const byTime = { column: 'at', type: 'bigint' }
  await eachRow(db, 'SELECT at AS cursor, partition, owner, epoch FROM watched_owners', byTime, (row) =>
    checker.owner(row),
  )
  const writes = 'SELECT at AS cursor, partition, worker, owner, epoch, stale FROM watched_writes'
  await eachRow(db, writes, byTime, (row) => checker.write(row))
  const { rows } = await db.query('SELECT count(*)::integer AS count FROM retries')
  checker.remains('rows in retries', rows[0].count)
}

/**
 * Reads a table, or a tenant's rows of it, page by page in the order of a unique column, which the query must return as
 * `cursor`.
 */
async function eachRow(
  db: Db,
  select: string,
  { column, type, tenantId }: { column: string; type: string; tenantId?: string },
  // biome-ignore lint/suspicious/noExplicitAny: a row has the shape of its statement.
  take: (row: any) => void,
): Promise<void> {
  let after: unknown
  for (;;) {
    const values: unknown[] = []
    const conditions = ['true']
    if (tenantId !== undefined) conditions.push(`tenant_id = $${values.push(tenantId)}`)
    if (after !== undefined) conditions.push(`${column} > $${values.push(after)}::${type}`)
    const { rows } = await db.query(
      `${select} WHERE ${conditions.join(' AND ')} ORDER BY ${column} LIMIT ${PAGE}`,
      values,
    )
    for (const row of rows) take(row)
    if (rows.length < PAGE) return
    after = rows.at(-1).cursor
  }
}
