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

/** Processes publish this with their figures. Those of versions that do not know the parts publish none. */
export const LEDGER_VERSION = 2

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

/** The functions of the triggers and the constraint that exist until the contraction. */
export const CONVERTING_FUNCTIONS = ['claim_event_id', 'forget_event_ids', 'fill_retry_seq', 'former_end']

/**
 * Replaces the ordinary tables `raw_events` and `processed_events` with partitioned ones. `inUse`: they become the
 * first part, and `parts/convert.ts` has prepared that. Otherwise they are dropped. New parts have `partEvents` seqs.
 *
 * Call it in a transaction. It takes an exclusive lock on the tables, but reads none of their rows.
 */
export async function toParts(
  db: Kysely<unknown>,
  { partEvents, inUse = false }: { partEvents: number; inUse?: boolean },
): Promise<void> {
  await sql`LOCK TABLE raw_events, processed_events, retries IN ACCESS EXCLUSIVE MODE`.execute(db)
  // An INSERT draws its seqs while it holds a lock on the table. So there are no others.
  const { rows } = await sql<{ next: string }>`
    SELECT coalesce(pg_sequence_last_value('raw_events_seq_seq'), 0) + 1 AS next`.execute(db)
  const firstSeq = Number(rows[0]!.next)
  await sql`CREATE SEQUENCE event_seq`.execute(db)
  // Before it draws the next seq, it must say which one was assigned last.
  if (firstSeq > 1) await sql`SELECT setval('event_seq', ${firstSeq - 1})`.execute(db)
  await copyRights(db, 'raw_events_seq_seq', 'event_seq')
  // The INSERT of earlier versions, which would not notice duplicates, fails without the former sequence.
  await sql`ALTER TABLE raw_events ALTER COLUMN seq DROP IDENTITY`.execute(db)
  for (const table of DIVIDED) await setAside(db, table)
  await dividedTables(db)
  await sql`ALTER SEQUENCE event_seq OWNED BY raw_events.seq`.execute(db)
  await retriesBySeq(db)
  await eventsView(db)
  if (inUse) await attachFormer(db, firstSeq)
  else for (const table of DIVIDED) await sql`DROP TABLE ${sql.table(leafOf(table, FORMER_PART))}`.execute(db)
  for (const name of CONVERTING_FUNCTIONS) await sql`DROP FUNCTION IF EXISTS ${sql.id(name)}`.execute(db)
  for (let n = 0; n <= PARTS_AHEAD; n++) {
    await makePart(db, { part: n + 1, from: firstSeq + n * partEvents, until: firstSeq + (n + 1) * partEvents })
  }
  await sql`UPDATE ledger SET stage = 'parts', sequence = 'event_seq', turned_at = now()`.execute(db)
}

/**
 * Makes the former tables the first part. Postgres reads no row if a valid constraint says that all are in its range.
 * That constraint asks a function for the end, which is known only now: under the lock, no row has a higher seq.
 */
async function attachFormer(db: Kysely<unknown>, until: number): Promise<void> {
  await setFormerEnd(db, until)
  for (const table of DIVIDED) {
    const former = sql.table(leafOf(table, FORMER_PART))
    await sql`
      ALTER TABLE ${sql.table(table)} ATTACH PARTITION ${former} FOR VALUES FROM (MINVALUE) TO (${sql.lit(until)})`.execute(
      db,
    )
    await sql`ALTER TABLE ${former} DROP CONSTRAINT in_part`.execute(db)
  }
  await sql`
    INSERT INTO ledger_parts (part, from_seq, until_seq, opened_at)
    SELECT ${FORMER_PART}, 0, ${until}::bigint, min(accepted_at) FROM partitions
    CROSS JOIN LATERAL (SELECT accepted_at FROM raw_events r WHERE r.partition = partitions.id ORDER BY seq LIMIT 1) e
    `.execute(db)
}

/** Sets below which seq the rows of the former tables are. */
export async function setFormerEnd(db: Kysely<unknown>, end: number | 'the highest'): Promise<void> {
  const value = sql.raw(end === 'the highest' ? '9223372036854775807' : String(end))
  await sql`
    CREATE OR REPLACE FUNCTION former_end() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT ${value}::bigint $$
    `.execute(db)
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
export async function makePart(db: Kysely<unknown>, range: PartRange): Promise<void> {
  for (const table of DIVIDED) {
    await makeLeaf(db, table, range.part)
    await attachLeaf(db, table, range)
  }
  const { part, from, until } = range
  await sql`INSERT INTO ledger_parts (part, from_seq, until_seq) VALUES (${part}, ${from}, ${until})`.execute(db)
}

type Divided = (typeof DIVIDED)[number]

/** Makes the table of a part, beside the table that it is to be a part of. */
export async function makeLeaf(db: Kysely<unknown>, table: Divided, part: number): Promise<void> {
  const leaf = leafOf(table, part)
  await sql`
    CREATE TABLE ${sql.table(leaf)} (LIKE ${sql.table(table)} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
    `.execute(db)
  await copyRightsToPart(db, table, leaf)
}

/** Attaches the table of a part. */
export async function attachLeaf(db: Kysely<unknown>, table: Divided, { part, from, until }: PartRange): Promise<void> {
  const range = sql`FROM (${sql.lit(from)}) TO (${sql.lit(until)})`
  await sql`
    ALTER TABLE ${sql.table(table)} ATTACH PARTITION ${sql.table(leafOf(table, part))} FOR VALUES ${range}`.execute(db)
}

/** Gives a table and its indexes the names of the first part, and the key of a part. */
async function setAside(db: Kysely<unknown>, table: Divided): Promise<void> {
  const former = leafOf(table, FORMER_PART)
  for (const trigger of ['claim_event_id', 'forget_event_ids']) {
    await sql`DROP TRIGGER IF EXISTS ${sql.id(trigger)} ON ${sql.table(table)}`.execute(db)
  }
  await sql`ALTER TABLE ${sql.table(table)} DROP CONSTRAINT ${sql.id(`${table}_pkey`)}`.execute(db)
  await sql`ALTER TABLE ${sql.table(table)} RENAME TO ${sql.id(former)}`.execute(db)
  const { rows } = await sql<{ name: string }>`
    SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = ${former}::regclass`.execute(db)
  for (const { name } of rows) {
    if (name === `${table}_by_seq`)
      await sql`ALTER TABLE ${sql.table(former)} ADD CONSTRAINT ${sql.id(`${former}_pkey`)} PRIMARY KEY USING INDEX ${sql.id(name)}`.execute(
        db,
      )
    else if (name === 'raw_events_partition_seq') await sql`DROP INDEX ${sql.id(name)}`.execute(db)
    else await sql`ALTER INDEX ${sql.id(name)} RENAME TO ${sql.id(`${former}${name.slice(table.length)}`)}`.execute(db)
  }
}

/** Grants on a new table or sequence what is granted on the one that it replaces: running processes go on with it. */
export async function copyRights(db: Kysely<unknown>, from: string, to: string, except = ''): Promise<void> {
  const { rows } = await sql<{ statement: string }>`
    SELECT format('GRANT %s %s ON %s %I TO %s', right_of.privilege_type, '(' || quote_ident(attname) || ')',
                  CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, ${to}::text,
                  CASE right_of.grantee WHEN 0 THEN 'PUBLIC' ELSE right_of.grantee::regrole::text END) AS statement
    FROM (SELECT relkind, relowner, NULL AS attname, relacl AS acl FROM pg_class WHERE oid = ${from}::regclass
          UNION ALL
          SELECT relkind, relowner, attname, attacl FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
          WHERE attrelid = ${from}::regclass) given, aclexplode(acl) AS right_of
    WHERE right_of.grantee <> relowner AND right_of.grantee::regrole::text <> ${except}`.execute(db)
  for (const { statement } of rows) await sql.raw(statement).execute(db)
}

/**
 * For roles that read parts on their own, such as that of a dump. The wall between tenants is around the whole table
 * only.
 */
export function copyRightsToPart(db: Kysely<unknown>, table: string, leaf: string): Promise<void> {
  return copyRights(db, table, leaf, 'eventflow_tenant')
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
  for (const table of DIVIDED) {
    await tenantWall(db, table)
    await copyRights(db, leafOf(table, FORMER_PART), table)
  }
}

async function retriesBySeq(db: Kysely<unknown>): Promise<void> {
  await sql`DROP TRIGGER IF EXISTS fill_retry_seq ON retries`.execute(db)
  await sql`DELETE FROM retries WHERE seq IS NULL`.execute(db)
  await sql`ALTER TABLE retries ALTER COLUMN seq SET NOT NULL, DROP CONSTRAINT retries_pkey`.execute(db)
  await sql`ALTER TABLE retries ADD CONSTRAINT retries_pkey PRIMARY KEY USING INDEX retries_seq`.execute(db)
  await sql`CREATE INDEX retries_tenant ON retries (tenant_id)`.execute(db)
}

/** One row for each accepted event. The view has the same columns as before, so that others may depend on it. */
async function eventsView(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE OR REPLACE VIEW events AS
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
  await readAsTheReader(db)
}
