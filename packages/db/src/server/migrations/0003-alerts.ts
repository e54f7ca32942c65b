/** Incidents of alerts: when each began and ended, and whether notifications of both were sent. */
import { type Kysely, sql } from 'kysely'

export async function alertsTable(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE alerts (
      id              uuid PRIMARY KEY,
      alert           text NOT NULL,
      raised_at       timestamptz NOT NULL,
      raised_with     jsonb NOT NULL,
      raised_sent_at  timestamptz,
      cleared_at      timestamptz,
      cleared_with    jsonb,
      cleared_sent_at timestamptz,
      sending_until   timestamptz NOT NULL DEFAULT '-infinity'
    )`.execute(db)
  await sql`CREATE UNIQUE INDEX alerts_open ON alerts (alert) WHERE cleared_at IS NULL`.execute(db)
  await sql`CREATE INDEX alerts_unsent ON alerts (raised_at)
            WHERE raised_sent_at IS NULL OR (cleared_at IS NOT NULL AND cleared_sent_at IS NULL)`.execute(db)
}
