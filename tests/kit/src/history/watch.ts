/** Triggers that record every write of the pipeline with its writer, and every row that retention removes. */
import { ADVISORY_LOCKS, type Db } from '@eventflow/db'

/** A skip by an operator is not a worker's write: it takes the partition from its owner. */
const NOT_SKIPPED = `WHERE component <> 'operator'`

/** The tables from which retention removes events, and the columns that the checker reads. */
const HISTORY = {
  raw_events: 'partition, seq, tenant_id, event_id, type, key, causation_id, accepted_at, occurred_at',
  processed_events:
    'partition, seq, tenant_id, event_id, type, key, attempts, history, position, accepted_at, occurred_at',
  failed_events: 'partition, seq, tenant_id, event_id, type, attempts, history, status, error_class, message',
  window_results: 'group_id, generation, tenant_id, key, start_at, end_at, partition, result',
  late_events: 'group_id, generation, tenant_id, seq, position, watermark',
  log_marks: 'partition, position, tenant_id, kind, at, seen_since',
}

/** The tables of which retention removes whole parts. */
const PARTS = ['raw_events', 'processed_events'] as const

/**
 * A table of the history, including the rows that retention has removed from it, when it did, and whether a consumer
 * group had not handled them.
 */
export const everIn = (table: keyof typeof HISTORY, condition = 'true') =>
  `(SELECT ${HISTORY[table]}, NULL::timestamptz AS removed_at, false AS unread FROM ${table} WHERE ${condition}
    UNION ALL SELECT * FROM removed_${table} WHERE ${condition}) AS ever`

const IS_UNREAD = `
  EXISTS (SELECT FROM group_cursors c WHERE c.partition = l.partition AND c.position < l.position)
  OR EXISTS (SELECT FROM group_parked k WHERE k.seq = l.seq)`

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
           INSERT INTO removed_${table} SELECT l.*, clock_timestamp(), ${table === 'processed_events' ? IS_UNREAD : 'false'}
           FROM leaving_${table} l
           WHERE NOT EXISTS (SELECT FROM raw_events r WHERE r.partition = l.partition AND r.seq = l.seq);`,
       ).join('')}
     END IF;
     ${PARTS.map((table) => `DELETE FROM leaving_${table};`).join(' ')}
     IF NEW.emptied_at IS NOT DISTINCT FROM OLD.emptied_at AND NEW.looked_at IS NOT NULL THEN
       ${PARTS.map(
         (table) => `
           INSERT INTO leaving_${table} SELECT ${HISTORY[table]} FROM ${table}
           WHERE seq >= OLD.from_seq AND seq < OLD.until_seq;`,
       ).join('')}
     END IF;
     RETURN NULL;
   END $$`,
  ...PARTS.map((table) => `CREATE TABLE leaving_${table} AS SELECT ${HISTORY[table]} FROM ${table} WITH NO DATA`),
  `CREATE TRIGGER watch_part AFTER UPDATE OF looked_at, emptied_at ON ledger_parts FOR EACH ROW
     EXECUTE FUNCTION watch_part()`,

  // Retention removes rows under its own lock; rows deleted for other reasons must not be excused.
  ...Object.entries(HISTORY).flatMap(([table, columns]) => [
    `CREATE TABLE removed_${table} AS SELECT ${columns} FROM ${table} WITH NO DATA`,
    `ALTER TABLE removed_${table} ADD COLUMN removed_at timestamptz DEFAULT clock_timestamp(),
       ADD COLUMN unread boolean NOT NULL DEFAULT false`,
    ...(columns.includes('seq,') ? [`CREATE INDEX ON removed_${table} (tenant_id, seq)`] : []),
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
