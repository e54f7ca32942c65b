/**
 * Two roles: the programs log in as one that only reads and writes rows, and the owner of the database owns the tables.
 * Migrations switch to the owner's role. This does not apply if the programs' role owns the database itself; nor before
 * Postgres 16, where a role cannot be granted without inheriting from it: the policies between tenants would then apply
 * to the programs themselves.
 */
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { ADVISORY_LOCKS } from './advisory-locks.js'
import type { Queryable } from './connect.js'
import { CONVERTING_FUNCTIONS } from './to-parts.js'

/** Resolves with the owner of the database, if it is another role and ours may switch to it. */
export async function findOwner(db: Queryable): Promise<string | undefined> {
  const { rows } = await db.query(`
    SELECT owner.rolname AS owner FROM pg_database JOIN pg_roles owner ON owner.oid = datdba, pg_roles own
    WHERE datname = current_database() AND own.rolname = session_user AND own.oid <> owner.oid AND NOT own.rolsuper
      AND CASE WHEN current_setting('server_version_num')::integer >= 160000
               THEN pg_has_role(own.oid, owner.oid, 'SET') ELSE false END`)
  return rows[0]?.owner
}

/** The connection option that switches to the role. */
export function asRole(role: string): { options: string } {
  return { options: `-c role=${role.replaceAll(/[\\ ]/g, '\\$&')}` }
}

/**
 * The tables of the pipeline and its sequence of positions. The programs' role creates them itself if there is no owner
 * to switch to.
 */
const TABLES = [
  ...['tenants', 'raw_events', 'processed_events', 'failed_events', 'retries', 'operations', 'audit_log'],
  ...['workers', 'partitions', 'partition_marks', 'events', 'process_figures', 'alerts', 'api_keys'],
  ...['event_schemas', 'event_schema_modes', 'installation', 'kysely_migration', 'kysely_migration_lock'],
  ...['ledger', 'ledger_parts', 'event_ids', 'event_ids_1', 'log_heads', 'log_position'],
  ...['log_starts', 'log_replaying', 'consumer_groups', 'group_leases', 'group_cursors', 'group_parked'],
  ...['group_dead_letters', 'log_marks', 'log_holds', 'ingest_processes', 'group_watermarks', 'late_events'],
  ...['window_state', 'window_results', 'join_rows', 'window_groups', 'open_windows'],
]

/**
 * Transfers the tables of the pipeline that our role owns to the owner. Rejects with 55P03 if one of them is in use for
 * longer than `lockTimeoutMs`.
 */
export async function handOver(db: Kysely<unknown>, owner: string, lockTimeoutMs: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(${ADVISORY_LOCKS.roles})`.execute(tx)
    await sql`SET LOCAL lock_timeout = ${sql.lit(lockTimeoutMs)}`.execute(tx)
    const { rows } = await sql<{ name: string }>`
      WITH ours AS (
        SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = ANY(${TABLES})),
      parts AS (SELECT inhrelid AS oid FROM pg_inherits JOIN ours ON oid = inhparent)
      SELECT relname AS name FROM pg_class JOIN (TABLE ours UNION TABLE parts) AS chosen USING (oid)
      WHERE relkind IN ('r', 'p', 'v', 'S') AND relowner = session_user::regrole
      ORDER BY relname`.execute(tx)
    for (const { name } of rows) await sql`ALTER TABLE ${sql.table(name)} OWNER TO ${sql.id(owner)}`.execute(tx)
    const { rows: functions } = await sql<{ name: string }>`
      SELECT proname AS name FROM pg_proc
      WHERE pronamespace = current_schema()::regnamespace AND proname = ANY(${CONVERTING_FUNCTIONS}) AND proowner = session_user::regrole`.execute(
      tx,
    )
    for (const { name } of functions) await sql`ALTER FUNCTION ${sql.id(name)} OWNER TO ${sql.id(owner)}`.execute(tx)
  })
}

/**
 * As the owner, grants the role that has logged in the privileges that the pipeline needs on the owner's tables, and
 * the right to create tables for handlers. Rejects if the policies between tenants would apply to that role.
 */
export async function grantRights(db: Kysely<unknown>): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(${ADVISORY_LOCKS.roles})`.execute(tx)
    const { rows } = await sql<{ statement: string }>`
      WITH lacking AS (
        SELECT format('SELECT, INSERT, UPDATE, DELETE ON %s', oid::regclass) AS rights FROM pg_class
        WHERE relkind IN ('r', 'p', 'v') AND relnamespace = current_schema()::regnamespace AND relowner = current_user::regrole
          AND NOT (has_table_privilege(session_user, oid, 'SELECT') AND has_table_privilege(session_user, oid, 'INSERT')
                   AND has_table_privilege(session_user, oid, 'UPDATE') AND has_table_privilege(session_user, oid, 'DELETE'))
        UNION ALL
        SELECT format('USAGE, SELECT ON SEQUENCE %s', oid::regclass) FROM pg_class
        WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace AND relowner = current_user::regrole
          AND NOT (has_sequence_privilege(session_user, oid, 'SELECT') AND has_sequence_privilege(session_user, oid, 'USAGE'))
        UNION ALL
        SELECT format('USAGE, CREATE ON SCHEMA %I', current_schema())
        WHERE NOT (has_schema_privilege(session_user, current_schema(), 'USAGE') AND has_schema_privilege(session_user, current_schema(), 'CREATE')))
      SELECT format('GRANT %s TO %I', rights, session_user) AS statement FROM lacking`.execute(tx)
    for (const { statement } of rows) await sql.raw(statement).execute(tx)
    await checkWalls(tx)
  })
}

/** A policy for a role also applies to roles that inherit from it: our role would see no rows. */
async function checkWalls(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ role: string; fine: boolean }>`
    SELECT quote_ident(session_user) AS role,
           pg_has_role(session_user, 'eventflow_tenant', 'SET') AND NOT pg_has_role(session_user, 'eventflow_tenant', 'USAGE') AS fine
    `.execute(db)
  const [{ role, fine }] = rows as [{ role: string; fine: boolean }]
  if (fine) return
  throw new Error(
    `${role} must be able to switch to the role eventflow_tenant without inheriting from it: ` +
      `ask an administrator to run GRANT eventflow_tenant TO ${role} WITH INHERIT FALSE, SET TRUE`,
  )
}
