/**
 * Readers of the log, which is `processed_events` in the order of `position`: consumer groups with a cursor for each
 * partition, their parked events and their dead letters.
 */
import { type Kysely, sql } from 'kysely'
import { tenantWall } from './0006-tenant-role.js'

export async function logReaders(db: Kysely<unknown>): Promise<void> {
  await logTables(db)
  await groupTables(db)
  for (const table of ['log_replaying', 'consumer_groups', 'group_parked', 'group_dead_letters']) {
    await tenantWall(db, table)
  }
}

async function logTables(db: Kysely<unknown>): Promise<void> {
  // The highest position that retention has removed from each partition: the log begins after it.
  await sql`
    CREATE TABLE log_starts (
      partition    smallint PRIMARY KEY,
      low_position bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)`.execute(db)
  await sql`INSERT INTO log_starts (partition) SELECT id FROM partitions`.execute(db)
  // The log keeps the entry of an event that is being processed again: readers take it from here meanwhile.
  await sql`
    CREATE TABLE log_replaying (
      seq            bigint PRIMARY KEY,
      partition      smallint NOT NULL,
      position       bigint NOT NULL,
      tenant_id      text NOT NULL,
      event_id       uuid NOT NULL,
      type           text NOT NULL,
      key            text NOT NULL,
      payload        jsonb NOT NULL,
      correlation_id text NOT NULL,
      accepted_at    timestamptz NOT NULL,
      occurred_at    timestamptz,
      processed_at   timestamptz NOT NULL
    )`.execute(db)
  await sql`CREATE INDEX log_replaying_position ON log_replaying (partition, position)`.execute(db)
}

async function groupTables(db: Kysely<unknown>): Promise<void> {
  // The groups that a worker reads, and nothing else; NULL for a worker of the pipeline.
  await sql`ALTER TABLE workers ADD COLUMN groups text[]`.execute(db)
  // `paused_for`: why it is paused; NULL while it runs.
  await sql`
    CREATE TABLE consumer_groups (
      group_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      tenant_id  text NOT NULL,
      name       text NOT NULL,
      kind       text NOT NULL CHECK (kind IN ('consumer', 'external')),
      version    integer NOT NULL DEFAULT 1,
      generation integer NOT NULL DEFAULT 1,
      types      text[] NOT NULL DEFAULT '{}',
      paused_for text,
      paused_by  text,
      paused_at  timestamptz,
      reset_to   jsonb,
      reset_by   text,
      reset_at   timestamptz,
      reset_error text,
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (tenant_id, name)
    )`.execute(db)
  // Apart from the cursors, which a batch of the group locks until its COMMIT.
  await sql`
    CREATE TABLE group_leases (
      group_id         bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      partition        smallint NOT NULL,
      owner            text,
      epoch            bigint NOT NULL DEFAULT 0,
      lease_expires_at timestamptz NOT NULL DEFAULT now(),
      crashes          smallint NOT NULL DEFAULT 0,
      PRIMARY KEY (group_id, partition)
    ) WITH (fillfactor = 50)`.execute(db)
  // `position` is the last position handled. `unpublished`: partitions that may have emitted events in no stream.
  await sql`
    CREATE TABLE group_cursors (
      group_id    bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      generation  integer NOT NULL DEFAULT 1,
      partition   smallint NOT NULL,
      epoch       bigint NOT NULL DEFAULT 0,
      position    bigint NOT NULL,
      unpublished smallint[] NOT NULL DEFAULT '{}',
      moved_at    timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (group_id, generation, partition)
    ) WITH (fillfactor = 50)`.execute(db)
  // Events behind the cursor that are still to be handled. `due_at` is NULL for those behind another one of their key.
  await sql`
    CREATE TABLE group_parked (
      group_id   bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      seq        bigint NOT NULL,
      partition  smallint NOT NULL,
      position   bigint NOT NULL,
      tenant_id  text NOT NULL,
      attempts   smallint NOT NULL DEFAULT 0,
      due_at     timestamptz,
      history    jsonb NOT NULL DEFAULT '[]',
      crashes    smallint NOT NULL DEFAULT 0,
      PRIMARY KEY (group_id, seq)
    )`.execute(db)
  await sql`CREATE INDEX group_parked_position ON group_parked (group_id, partition, position)`.execute(db)
  await sql`
    CREATE TABLE group_dead_letters (
      group_id       bigint NOT NULL REFERENCES consumer_groups ON DELETE CASCADE,
      seq            bigint NOT NULL,
      partition      smallint NOT NULL,
      position       bigint NOT NULL,
      tenant_id      text NOT NULL,
      event_id       uuid NOT NULL,
      type           text NOT NULL,
      key            text NOT NULL,
      payload        json NOT NULL,
      failure_type   text NOT NULL,
      error_class    text NOT NULL,
      message        text NOT NULL,
      errors         jsonb NOT NULL,
      component      text NOT NULL,
      attempts       smallint NOT NULL,
      history        jsonb NOT NULL,
      worker_id      text NOT NULL,
      correlation_id text NOT NULL,
      accepted_at    timestamptz NOT NULL,
      failed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
      status         text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replaying', 'replayed', 'discarded')),
      resolved_at    timestamptz,
      resolved_by    text,
      reason         text,
      PRIMARY KEY (group_id, seq)
    )`.execute(db)
  await sql`CREATE INDEX group_dead_letters_open ON group_dead_letters (group_id, seq) WHERE status = 'open'`.execute(
    db,
  )
  await sql`CREATE INDEX group_dead_letters_failed ON group_dead_letters (group_id, failed_at)`.execute(db)
}
