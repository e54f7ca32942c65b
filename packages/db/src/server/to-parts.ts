/**
 * The ledger in parts: how the two big tables are divided, and how they become so.
 *
 * `raw_events` and `processed_events` have the same parts, each a range of seqs. `event_ids` has buckets by time: an id
 * is claimed in the current one. See `parts/` for how parts and buckets come and go.
 */
import { type Kysely, sql } from 'kysely'
import { readAsTheReader, tenantWall } from './migrations/0006-tenant-role.js'

/** The tables that are divided into the same ranges of seqs. */
export const DIVIDED = ['raw_events', 'processed_events'] as const

/** The least seqs of a part, unless a setting says otherwise. */
export const MIN_PART_EVENTS = 1_000_000

/** Parts ahead of the one that takes new events. */
export const PARTS_AHEAD = 2

/** The bucket of the ids of events that are kept longer than their own bucket. */
export const KEPT_BUCKET = 0

/** The bucket with which an installation begins. */
export const FIRST_BUCKET = 1

/** The table of a part. */
export const leafOf = (table: string, part: number) => `${table}_${part}`

/** The part of an installation that had its events in ordinary tables. It has no lower end. */
const FORMER_PART = 0

/**
 * Replaces the ordinary tables `raw_events` and `processed_events` with partitioned ones. If they have rows, they become
 * the first part: their indexes and the constraint `in_part` must have been made before, see `parts/convert.ts`.
 * Call it in a transaction. It takes an exclusive lock on both tables, but reads none of their rows.
 */
export async function toParts(
  db: Kysely<unknown>,
  { partEvents, formerUntil }: { partEvents: number /** The end of the first part. */; formerUntil?: number },
): Promise<void> {
  await sql`LOCK TABLE raw_events, processed_events, retries IN ACCESS EXCLUSIVE MODE`.execute(db)
  await sql`DROP VIEW events`.execute(db)
  await sql`DROP TRIGGER claim_event_ids ON raw_events`.execute(db)
  await sql`DROP FUNCTION claim_event_ids`.execute(db)
  await retriesBySeq(db)
  const firstSeq = formerUntil ?? 1
  // The INSERT of earlier versions, which would not notice duplicates, fails without the former sequence.
  await sql`ALTER TABLE raw_events ALTER COLUMN seq DROP IDENTITY`.execute(db)
  await sql`CREATE SEQUENCE event_seq START ${sql.lit(firstSeq)}`.execute(db)
  for (const table of DIVIDED) await setAside(db, table)
  await dividedTables(db)
  await sql`ALTER SEQUENCE event_seq OWNED BY raw_events.seq`.execute(db)
  for (const table of DIVIDED) {
    const former = sql.table(leafOf(table, FORMER_PART))
    if (formerUntil === undefined) await sql`DROP TABLE ${former}`.execute(db)
    else
      await sql`ALTER TABLE ${sql.table(table)} ATTACH PARTITION ${former} FOR VALUES FROM (MINVALUE) TO (${sql.lit(formerUntil)})`.execute(
        db,
      )
  }
  if (formerUntil !== undefined) {
    await sql`INSERT INTO ledger_parts (part, from_seq, until_seq, opened_at) VALUES (${FORMER_PART}, 0, ${formerUntil}, (SELECT min(accepted_at) FROM raw_events))`.execute(
      db,
    )
  }
  for (let n = 0; n <= PARTS_AHEAD; n++) {
    await makePart(db, { part: n + 1, from: firstSeq + n * partEvents, until: firstSeq + (n + 1) * partEvents })
  }
  await eventsView(db)
  await sql`UPDATE ledger SET stage = 'parts', sequence = 'event_seq', turned_at = now()`.execute(db)
}

/** A range of seqs: from `from` on, below `until`. */
export interface PartRange {
  part: number
  from: number
  until: number
}

/**
 * Makes a part in both tables. It is made beside them and then attached, which waits for no reader or writer: CREATE
 * TABLE … PARTITION OF would.
 */
export async function makePart(db: Kysely<unknown>, { part, from, until }: PartRange): Promise<void> {
  for (const table of DIVIDED) {
    const leaf = sql.table(leafOf(table, part))
    await sql`CREATE TABLE ${leaf} (LIKE ${sql.table(table)} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)`.execute(
      db,
    )
    await sql`ALTER TABLE ${sql.table(table)} ATTACH PARTITION ${leaf} FOR VALUES FROM (${sql.lit(from)}) TO (${sql.lit(until)})`.execute(
      db,
    )
  }
  await sql`INSERT INTO ledger_parts (part, from_seq, until_seq) VALUES (${part}, ${from}, ${until})`.execute(db)
}

/** Gives a table and its indexes the names of the first part, and what its key is in parts. */
async function setAside(db: Kysely<unknown>, table: (typeof DIVIDED)[number]): Promise<void> {
  const former = leafOf(table, FORMER_PART)
  const { rows } = await sql<{ name: string }>`
    SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = ${table}::regclass AND c.relname <> ${`${table}_by_seq`}`.execute(db)
  await sql`ALTER TABLE ${sql.table(table)} DROP CONSTRAINT ${sql.id(`${table}_pkey`)}`.execute(db)
  const byId = `${table}_pkey`
  for (const { name } of rows) {
    if (name !== byId)
      await sql`ALTER INDEX ${sql.id(name)} RENAME TO ${sql.id(`${former}${name.slice(table.length)}`)}`.execute(db)
  }
  await sql`ALTER TABLE ${sql.table(table)} RENAME TO ${sql.id(former)}`.execute(db)
  if (await exists(db, `${table}_by_seq`)) {
    await sql`ALTER TABLE ${sql.table(former)} ADD CONSTRAINT ${sql.id(`${former}_pkey`)} PRIMARY KEY USING INDEX ${sql.id(`${table}_by_seq`)}`.execute(
      db,
    )
  }
}

async function exists(db: Kysely<unknown>, relation: string): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`SELECT to_regclass(${relation}) IS NOT NULL AS there`.execute(db)
  return rows[0]!.there
}

async function dividedTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE raw_events (
      seq            bigint NOT NULL,
      tenant_id      text NOT NULL,
      event_id       uuid NOT NULL,
      external_id    text,
      type           text NOT NULL,
      source         text NOT NULL,
      key            text NOT NULL,
      partition      smallint NOT NULL,
      occurred_at    timestamptz NOT NULL,
      accepted_at    timestamptz NOT NULL DEFAULT now(),
      correlation_id text NOT NULL,
      causation_id   text,
      traceparent    text,
      payload        json NOT NULL,
      extensions     json,
      hops           smallint NOT NULL DEFAULT 0,
      PRIMARY KEY (partition, seq)
    ) PARTITION BY RANGE (seq)`.execute(db)
  // An event without a correlation id is its own, and is found by its id, so it needs no entry in this index.
  await sql`
    CREATE INDEX raw_events_correlation ON raw_events (tenant_id, correlation_id)
    WHERE correlation_id <> event_id::text`.execute(db)
  await sql`
    CREATE TABLE processed_events (
      tenant_id      text NOT NULL,
      event_id       uuid NOT NULL,
      seq            bigint NOT NULL,
      type           text NOT NULL,
      key            text NOT NULL,
      partition      smallint NOT NULL,
      payload        jsonb NOT NULL,
      attempts       smallint NOT NULL,
      history        jsonb,
      worker_id      text NOT NULL,
      correlation_id text NOT NULL,
      accepted_at    timestamptz NOT NULL,
      processed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
      processing_ms  real NOT NULL,
      occurred_at    timestamptz,
      position       bigint,
      PRIMARY KEY (seq)
    ) PARTITION BY RANGE (seq)`.execute(db)
  await sql`CREATE INDEX processed_events_position ON processed_events (partition, position)`.execute(db)
  for (const table of DIVIDED) await tenantWall(db, table)
}

async function retriesBySeq(db: Kysely<unknown>): Promise<void> {
  await sql`DROP TRIGGER fill_retry_seq ON retries`.execute(db)
  await sql`DROP FUNCTION fill_retry_seq`.execute(db)
  await sql`DELETE FROM retries WHERE seq IS NULL`.execute(db)
  await sql`ALTER TABLE retries ALTER COLUMN seq SET NOT NULL, DROP CONSTRAINT retries_pkey`.execute(db)
  await sql`ALTER TABLE retries ADD CONSTRAINT retries_pkey PRIMARY KEY USING INDEX retries_seq`.execute(db)
  await sql`CREATE INDEX retries_tenant ON retries (tenant_id)`.execute(db)
}

/** One row for each accepted event. */
async function eventsView(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE VIEW events AS
    SELECT r.seq, r.tenant_id, r.event_id, r.external_id, r.type, r.source, r.key, r.partition,
           CASE WHEN p.seq IS NOT NULL THEN 'processed'
                WHEN f.status = 'open' THEN 'failed'
                WHEN f.status = 'discarded' THEN 'discarded'
                WHEN w.seq IS NOT NULL THEN 'retrying'
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
    LEFT JOIN processed_events p ON p.seq = r.seq
    LEFT JOIN failed_events f ON f.seq = r.seq
    LEFT JOIN retries w ON w.seq = r.seq`.execute(db)
  await sql`GRANT SELECT ON events TO eventflow_tenant`.execute(db)
  await readAsTheReader(db)
}
