/**
 * Windows and joins: consumer groups whose state is kept here. Times of events are counted in microseconds since 1970,
 * because the clients of Postgres read the times of `timestamptz` to the millisecond.
 */
import { type Kysely, sql } from 'kysely'
import { readAsTheReader, tenantWall } from './0006-tenant-role.js'

export async function windowsAndJoins(db: Kysely<unknown>): Promise<void> {
  await markTables(db)
  await groupColumns(db)
  await windowTables(db)
  await joinTables(db)
  const walled = [
    'log_marks',
    'log_holds',
    'group_watermarks',
    'window_state',
    'window_results',
    'late_events',
    'join_rows',
  ]
  for (const table of walled) await tenantWall(db, table)
  await openWindows(db)
}

async function markTables(db: Kysely<unknown>): Promise<void> {
  // Entries of the log that are no events. `hold`: an event of the time `at` waits, and later ones are settled before it.
  // `release`: none waits any more. `tick`: everything that was accepted up to `at` is settled, and the pipeline was seen
  // to work without a break since `seen_since`.
  await sql`
    CREATE TABLE log_marks (
      partition  smallint NOT NULL,
      position   bigint NOT NULL,
      tenant_id  text NOT NULL,
      kind       text NOT NULL CHECK (kind IN ('hold', 'release', 'tick')),
      at         bigint,
      seen_since bigint,
      written_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (partition, position)
    )`.execute(db)
  await sql`CREATE INDEX log_marks_tenant ON log_marks (partition, tenant_id, kind, position)`.execute(db)
  // The holds that are not released.
  await sql`
    CREATE TABLE log_holds (
      partition smallint NOT NULL,
      tenant_id text NOT NULL,
      at        bigint NOT NULL,
      PRIMARY KEY (partition, tenant_id)
    )`.execute(db)
  await sql`
    CREATE TABLE ingest_processes (
      process_id text PRIMARY KEY,
      seen_at    timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 50)`.execute(db)
}

async function groupColumns(db: Kysely<unknown>): Promise<void> {
  // `hash`: of what the state depends on. `building`: the generation that is built from the log beside the current one.
  // `out_of_orderness` and `idle` in microseconds; `idle` is NULL if windows never close without later events.
  await sql`
    ALTER TABLE consumer_groups
      DROP CONSTRAINT consumer_groups_kind_check,
      ADD CONSTRAINT consumer_groups_kind_check CHECK (kind IN ('consumer', 'external', 'window', 'join')),
      ADD COLUMN hash text,
      ADD COLUMN building integer,
      ADD COLUMN out_of_orderness bigint,
      ADD COLUMN idle bigint`.execute(db)
  // `began`: where the generation began. `silent_until`: up to there, an earlier generation has emitted the results.
  await sql`
    ALTER TABLE group_cursors ADD COLUMN began bigint NOT NULL DEFAULT 0,
      ADD COLUMN silent_until bigint NOT NULL DEFAULT 0`.execute(db)
  // Event time as a group has seen it. `last_accepted`: when the last event of the group was accepted.
  await sql`
    CREATE TABLE group_watermarks (
      group_id      bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      generation    integer NOT NULL,
      partition     smallint NOT NULL,
      tenant_id     text NOT NULL,
      watermark     bigint,
      seen          bigint,
      hold          bigint,
      last_accepted bigint,
      PRIMARY KEY (group_id, generation, partition, tenant_id)
    ) WITH (fillfactor = 50)`.execute(db)
  await sql`
    CREATE TABLE late_events (
      group_id    bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      generation  integer NOT NULL,
      seq         bigint NOT NULL,
      tenant_id   text NOT NULL,
      event_id    uuid NOT NULL,
      type        text NOT NULL,
      key         text NOT NULL,
      partition   smallint NOT NULL,
      position    bigint NOT NULL,
      occurred_at timestamptz NOT NULL,
      watermark   timestamptz NOT NULL,
      recorded_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (group_id, generation, seq)
    )`.execute(db)
  await sql`CREATE INDEX late_events_tenant ON late_events (group_id, tenant_id, seq)`.execute(db)
  await sql`CREATE INDEX late_events_recorded ON late_events (recorded_at)`.execute(db)
}

async function windowTables(db: Kysely<unknown>): Promise<void> {
  // A pane of a key, or a session. `first_open`: the earliest window that counts it. `close_at`: a watermark from this
  // time on closes the next window of it. The index is the timer. It is partial, and the column never NULL, so that it is
  // used only where `close_at` is compared: without statistics, Postgres would look up single panes by it, and read all
  // others of the partition for each.
  await sql`
    CREATE TABLE window_state (
      group_id   bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      generation integer NOT NULL,
      partition  smallint NOT NULL,
      tenant_id  text NOT NULL,
      key        text NOT NULL,
      start_at   bigint NOT NULL,
      first_open bigint NOT NULL,
      end_at     bigint NOT NULL,
      close_at   bigint,
      hops       smallint NOT NULL DEFAULT 0,
      state      jsonb NOT NULL,
      PRIMARY KEY (group_id, generation, partition, tenant_id, key, start_at, first_open)
    ) WITH (fillfactor = 70)`.execute(db)
  await sql`
    CREATE INDEX window_state_timer ON window_state (group_id, generation, partition, tenant_id, close_at)
      WHERE close_at IS NOT NULL`.execute(db)
  await sql`
    CREATE TABLE window_results (
      group_id   bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      generation integer NOT NULL,
      tenant_id  text NOT NULL,
      key        text NOT NULL,
      start_at   timestamptz NOT NULL,
      end_at     timestamptz NOT NULL,
      partition  smallint NOT NULL,
      result     jsonb NOT NULL,
      closed_at  timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (group_id, generation, tenant_id, key, start_at)
    )`.execute(db)
  await sql`CREATE INDEX window_results_end ON window_results (group_id, tenant_id, end_at, key)`.execute(db)
  await sql`CREATE INDEX window_results_closed ON window_results (closed_at)`.execute(db)
}

async function joinTables(db: Kysely<unknown>): Promise<void> {
  // An event that waits for others to be joined with. `matched`: it was joined with at least one. The timer is
  // partial as that of windows is.
  await sql`
    CREATE TABLE join_rows (
      group_id   bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      generation integer NOT NULL,
      partition  smallint NOT NULL,
      tenant_id  text NOT NULL,
      key        text NOT NULL,
      side       text NOT NULL CHECK (side IN ('left', 'right')),
      at         bigint NOT NULL,
      seq        bigint NOT NULL,
      expires_at bigint,
      matched    boolean NOT NULL DEFAULT false,
      event      jsonb NOT NULL,
      PRIMARY KEY (group_id, generation, partition, tenant_id, key, side, at, seq)
    ) WITH (fillfactor = 70)`.execute(db)
  await sql`
    CREATE INDEX join_rows_timer ON join_rows (group_id, generation, partition, tenant_id, expires_at)
      WHERE expires_at IS NOT NULL`.execute(db)
}

/** The windows that are not closed yet, for people. The parts of windows that overlap are rows of their own. */
async function openWindows(db: Kysely<unknown>): Promise<void> {
  // A view of its own, which reads as its owner: tenants see these columns of the groups, whose rows are the operator's.
  await sql`
    CREATE VIEW window_groups AS
    SELECT group_id, name, version, generation FROM consumer_groups WHERE kind = 'window'`.execute(db)
  const time = (column: string) => sql`timestamptz 'epoch' + ${sql.ref(column)} * interval '1 microsecond'`
  await sql`
    CREATE VIEW open_windows AS
    SELECT name, tenant_id, key, ${time('start_at')} AS start_at, ${time('end_at')} AS end_at,
           ${time('close_at')} AS closes_at, partition, state
    FROM window_state JOIN window_groups USING (group_id, generation)`.execute(db)
  await readAsTheReader(db, 'open_windows')
  await sql`GRANT SELECT ON window_groups, open_windows TO eventflow_tenant`.execute(db)
}
