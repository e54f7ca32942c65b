/**
 * The ledger in parts. `raw_events` and `processed_events` are partitioned by ranges of seq, which retention drops one
 * by one, and every join is by seq. The ids of events have a table of their own, `event_ids`, in buckets by time.
 *
 * This migration only adds what the new statements need (*expand*), and works beside processes of the previous version.
 * A database without events is converted at once. One with events is converted later, when no process of the previous
 * version is left (*contract*): see `parts/convert.ts`.
 */
import { type Kysely, sql } from 'kysely'
import { REMEMBER_HISTORY } from '../incarnation.js'
import { DIVIDED, FIRST_BUCKET, KEPT_BUCKET, leafOf, setFormerEnd, toParts } from '../to-parts.js'
import { tenantWall } from './0006-tenant-role.js'

/** The bucket of the ids of new events, in a database that had events. */
const CURRENT_BUCKET = FIRST_BUCKET + 1

/** `partEvents`: how many seqs each of the first parts has, if the database has no events. */
export function ledgerInParts(partEvents: number) {
  return async (db: Kysely<unknown>): Promise<void> => {
    await sql`LOCK TABLE raw_events, processed_events, retries IN ACCESS EXCLUSIVE MODE`.execute(db)
    await addTables(db)
    await addColumns(db)
    const { rows } = await sql<{ inUse: boolean }>`
      SELECT EXISTS (SELECT FROM raw_events)
             OR EXISTS (SELECT FROM process_figures WHERE told_at > now() - interval '60 seconds') AS "inUse"`.execute(
      db,
    )
    if (rows[0]!.inUse) await expand(db)
    else {
      for (const bucket of [FIRST_BUCKET, FIRST_BUCKET + 1]) await makeBucket(db, bucket)
      await toParts(db, { partEvents })
    }
  }
}

async function addTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE ledger (
      one_row         boolean PRIMARY KEY DEFAULT true CHECK (one_row),
      installation    uuid NOT NULL DEFAULT gen_random_uuid(),
      stage           text NOT NULL DEFAULT 'expanding' CHECK (stage IN ('expanding', 'expanded', 'parts')),
      former_seq      bigint NOT NULL DEFAULT 0,
      copied_seq      bigint NOT NULL DEFAULT 0,
      expanded_at     timestamptz,
      sequence        text NOT NULL DEFAULT 'raw_events_seq_seq',
      first_seq       bigint NOT NULL DEFAULT 0,
      incarnation     bigint NOT NULL DEFAULT 1,
      identity        text,
      timeline        text,
      bucket          smallint NOT NULL DEFAULT ${sql.lit(FIRST_BUCKET)},
      previous_bucket smallint,
      turning         boolean NOT NULL DEFAULT false,
      turned_at       timestamptz NOT NULL DEFAULT now(),
      turned_seq      bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)`.execute(db)
  await sql`INSERT INTO ledger DEFAULT VALUES`.execute(db)
  await sql.raw(REMEMBER_HISTORY).execute(db)
  await sql`
    CREATE TABLE ledger_parts (
      part        integer PRIMARY KEY,
      from_seq    bigint NOT NULL,
      until_seq   bigint NOT NULL,
      made_at     timestamptz NOT NULL DEFAULT now(),
      opened_at   timestamptz,
      archived_at timestamptz,
      looked_at   timestamptz,
      emptied_at  timestamptz,
      kept_until  timestamptz,
      dropped_at  timestamptz
    )`.execute(db)
  // A dropped part keeps its row, also when its range becomes part of a restored one.
  await sql`CREATE UNIQUE INDEX ledger_parts_from ON ledger_parts (from_seq) WHERE dropped_at IS NULL`.execute(db)
  await sql`CREATE UNIQUE INDEX ledger_parts_until ON ledger_parts (until_seq) WHERE dropped_at IS NULL`.execute(db)
  await sql`
    CREATE TABLE event_ids (
      tenant_id text NOT NULL,
      event_id  uuid NOT NULL,
      bucket    smallint NOT NULL,
      seq       bigint NOT NULL,
      partition smallint NOT NULL,
      PRIMARY KEY (tenant_id, event_id, bucket)
    ) PARTITION BY LIST (bucket)`.execute(db)
  await sql`CREATE TABLE event_ids_kept PARTITION OF event_ids FOR VALUES IN (${sql.lit(KEPT_BUCKET)})`.execute(db)
  await tenantWall(db, 'event_ids')
  // Updated by every settling transaction: the free space keeps the old versions in the same page.
  await sql`
    CREATE TABLE log_heads (
      partition     smallint PRIMARY KEY,
      next_position bigint NOT NULL DEFAULT 1,
      low_position  bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 10)`.execute(db)
  await sql`INSERT INTO log_heads (partition) SELECT id FROM partitions`.execute(db)
}

async function addColumns(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE raw_events ADD COLUMN hops smallint NOT NULL DEFAULT 0`.execute(db)
  await sql`ALTER TABLE processed_events ADD COLUMN occurred_at timestamptz, ADD COLUMN position bigint`.execute(db)
  await sql`ALTER TABLE retries ADD COLUMN seq bigint`.execute(db)
  await sql`UPDATE retries SET seq = r.seq FROM raw_events r WHERE r.tenant_id = retries.tenant_id AND r.event_id = retries.event_id`.execute(
    db,
  )
  await sql`CREATE UNIQUE INDEX retries_seq ON retries (seq)`.execute(db)
}

async function makeBucket(db: Kysely<unknown>, bucket: number): Promise<void> {
  const leaf = sql.table(leafOf('event_ids', bucket))
  await sql`CREATE TABLE ${leaf} PARTITION OF event_ids FOR VALUES IN (${sql.lit(bucket)})`.execute(db)
}

/**
 * Prepares the conversion of tables with events. The ids of those events go into the first bucket, which is filled
 * before it gets an index and joins the others; those of later events go into the second one from now on.
 *
 * The lock on `raw_events` separates them: an INSERT draws its seqs while it holds a lock on the table.
 */
async function expand(db: Kysely<unknown>): Promise<void> {
  const former = sql.table(leafOf('event_ids', FIRST_BUCKET))
  await sql`CREATE TABLE ${former} (LIKE event_ids, CHECK (bucket = ${sql.lit(FIRST_BUCKET)}))`.execute(db)
  for (const bucket of [CURRENT_BUCKET, CURRENT_BUCKET + 1]) await makeBucket(db, bucket)
  await sql`
    UPDATE ledger SET previous_bucket = ${FIRST_BUCKET}, bucket = ${CURRENT_BUCKET}, former_seq = last, turned_seq = last
    FROM (SELECT coalesce(pg_sequence_last_value('raw_events_seq_seq'), 0) AS last) drawn`.execute(db)
  await endLater(db)
  await serveEarlierProcesses(db)
}

/** The constraint with which the tables can become a part without a scan, once its end is known: see `toParts`. */
async function endLater(db: Kysely<unknown>): Promise<void> {
  await setFormerEnd(db, 'the highest')
  await sql`GRANT EXECUTE ON FUNCTION former_end TO PUBLIC`.execute(db)
  for (const table of DIVIDED) {
    await sql`ALTER TABLE ${sql.table(table)} ADD CONSTRAINT in_part CHECK (seq < former_end()) NOT VALID`.execute(db)
  }
}

/**
 * Processes of the previous version know neither `event_ids` nor `retries.seq`: until the contraction, triggers keep
 * both. An event of such a process is recognized by `hops`, which it does not write. Its id is claimed before its row
 * is inserted, as the new INSERT does: so two statements with the same ids cannot deadlock.
 *
 * The functions have the rights of the owner of the tables, because the role of those processes has none on the new
 * ones.
 */
async function serveEarlierProcesses(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ schema: string }>`SELECT current_schema() AS schema`.execute(db)
  const asOwner = sql`LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${sql.id(rows[0]!.schema)}, pg_temp`
  await sql`ALTER TABLE raw_events ALTER COLUMN hops SET DEFAULT -1`.execute(db)
  await sql`
    CREATE FUNCTION claim_event_id() RETURNS trigger ${asOwner} AS $$
    BEGIN
      INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
      SELECT NEW.tenant_id, NEW.event_id, ${sql.lit(CURRENT_BUCKET)}, NEW.seq, NEW.partition
      WHERE NOT EXISTS (SELECT FROM raw_events WHERE tenant_id = NEW.tenant_id AND event_id = NEW.event_id)
      ON CONFLICT DO NOTHING;
      NEW.hops := 0;
      RETURN NEW;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER claim_event_id BEFORE INSERT ON raw_events
    FOR EACH ROW WHEN (NEW.hops < 0) EXECUTE FUNCTION claim_event_id()`.execute(db)
  // To a process of the previous version, a removed event was never accepted.
  await sql`
    CREATE FUNCTION forget_event_ids() RETURNS trigger ${asOwner} AS $$
    BEGIN
      DELETE FROM event_ids i USING gone
      WHERE i.tenant_id = gone.tenant_id AND i.event_id = gone.event_id AND i.seq = gone.seq;
      RETURN NULL;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER forget_event_ids AFTER DELETE ON raw_events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_event_ids()`.execute(db)
  await sql`
    CREATE FUNCTION fill_retry_seq() RETURNS trigger ${asOwner} AS $$
    BEGIN
      NEW.seq := (SELECT seq FROM raw_events WHERE tenant_id = NEW.tenant_id AND event_id = NEW.event_id);
      RETURN NEW;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER fill_retry_seq BEFORE INSERT ON retries
    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION fill_retry_seq()`.execute(db)
}
