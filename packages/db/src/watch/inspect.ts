/** Facts about a Postgres and its database, for diagnosis. Read-only. */
import { INGEST_APPLICATION, type Queryable, WORKER_APPLICATION } from '../server/connect.js'
import { findOwner } from '../server/owner.js'

/** A setting as it is in force on our connection. */
interface Setting {
  value: string
  /** Its source, as in `pg_settings.source`: `default`, `configuration file`, `database`, `user`, … */
  source: string
}

/** A long-open transaction: vacuum cannot remove newer dead rows. */
interface OldTransaction {
  /** The statement that ends it. */
  end: string
  who: string
  seconds: number
}

/** Everything except the tables of the pipeline, which may not exist yet. */
export interface ServerFacts {
  version: string
  /** `server_version_num`: 18.1 is 180001. */
  versionNumber: number
  database: string
  role: string
  /** The owner of the database, if it is another role and ours may switch to it. */
  owner: string | undefined
  settings: Record<(typeof SETTINGS)[number], Setting>
  /** Client connections of the whole server, by application name and role. */
  connections: { application: string; role: string; count: number }[]
  /** The connections that ordinary roles may open. */
  maxConnections: number
  /** Roles of workers, including ours, that cannot see the transactions of the role that ingest uses. */
  blindRoles: string[]
  /** Superusers among the roles of ingest and workers, including ours. */
  superusers: string[]
  oldTransactions: OldTransaction[]
  /** Replication slots without a reader, with the size of the log that Postgres keeps for them. */
  idleSlots: { name: string; bytes: number }[]
  databaseBytes: number
  /** The size of the write-ahead log; undefined without the role pg_monitor. */
  walBytes: number | undefined
  /** The data directory, if our role may read it. */
  dataDirectory: string | undefined
}

const SETTINGS = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'statement_timeout',
  'idle_in_transaction_session_timeout',
] as const

/** Longer than any transaction of the pipeline, in seconds. */
const OLD_SECONDS = 60

/** Reads the facts about the server. Transactions count as old after `oldSeconds` seconds. */
export async function inspectServer(db: Queryable, oldSeconds = OLD_SECONDS): Promise<ServerFacts> {
  const { rows } = await db.query(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::integer AS number,
           current_database() AS database, current_user AS role, pg_database_size(current_database()) AS bytes,
           current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
             - coalesce(current_setting('reserved_connections', true), '0')::integer AS connections,
           pg_has_role('pg_monitor', 'USAGE') AS monitors`)
  const [server] = rows
  return {
    version: server.version,
    versionNumber: server.number,
    database: server.database,
    role: server.role,
    owner: await findOwner(db),
    settings: await readSettings(db),
    ...(await readConnections(db)),
    maxConnections: server.connections,
    oldTransactions: await readOldTransactions(db, oldSeconds),
    idleSlots: await readIdleSlots(db),
    databaseBytes: server.bytes,
    ...(await readPlace(db, server.monitors)),
  }
}

async function readSettings(db: Queryable): Promise<ServerFacts['settings']> {
  const { rows } = await db.query('SELECT name, setting, source FROM pg_settings WHERE name = ANY($1)', [SETTINGS])
  return Object.fromEntries(
    rows.map(({ name, setting, source }) => [name, { value: setting, source }]),
  ) as ServerFacts['settings']
}

async function readConnections(db: Queryable): Promise<Pick<ServerFacts, 'connections' | 'blindRoles' | 'superusers'>> {
  const { rows: connections } = await db.query(`
    SELECT application_name AS application, usename AS role, count(*)::integer AS count
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1, 2 ORDER BY 1, 2`)
  const { rows: roles } = await db.query(
    `WITH ours AS (SELECT usesysid AS id, application_name AS application FROM pg_stat_activity WHERE datname = current_database()),
          looking AS (SELECT id FROM ours WHERE application = $1 UNION SELECT oid FROM pg_roles WHERE rolname = session_user)
     SELECT rolname AS role, rolsuper AS super,
            oid IN (SELECT id FROM looking) AND EXISTS (
              SELECT FROM ours ingest WHERE application = $2
                AND NOT pg_has_role(oid, ingest.id, 'USAGE') AND NOT pg_has_role(oid, 'pg_read_all_stats', 'USAGE')) AS blind
     FROM pg_roles
     WHERE oid IN (SELECT id FROM looking UNION SELECT id FROM ours WHERE application = $2) ORDER BY 1`,
    [WORKER_APPLICATION, INGEST_APPLICATION],
  )
  return {
    connections,
    blindRoles: roles.flatMap(({ role, blind }) => (blind ? [role] : [])),
    superusers: roles.flatMap((row) => (row.super ? [row.role] : [])),
  }
}

async function readOldTransactions(db: Queryable, oldSeconds: number): Promise<OldTransaction[]> {
  const { rows } = await db.query(
    `SELECT format('SELECT pg_terminate_backend(%s)', pid) AS end,
            format('%s (process %s, %s)', coalesce(nullif(application_name, ''), 'an unnamed client'), pid, state) AS who,
            extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
     FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
       AND xact_start < clock_timestamp() - $1 * interval '1 second'
     UNION ALL
     SELECT format('ROLLBACK PREPARED %L', gid), format('the prepared transaction %s of %s', gid, owner),
            extract(epoch FROM clock_timestamp() - prepared)::float8
     FROM pg_prepared_xacts
     WHERE database = current_database() AND prepared < clock_timestamp() - $1 * interval '1 second'
     ORDER BY seconds DESC`,
    [oldSeconds],
  )
  return rows
}

async function readIdleSlots(db: Queryable): Promise<ServerFacts['idleSlots']> {
  const { rows } = await db.query(`
    SELECT slot_name AS name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes
    FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL AND NOT pg_is_in_recovery()`)
  return rows
}

async function readPlace(db: Queryable, monitors: boolean): Promise<Pick<ServerFacts, 'walBytes' | 'dataDirectory'>> {
  if (!monitors) return { walBytes: undefined, dataDirectory: undefined }
  const { rows } = await db.query(`
    SELECT (SELECT sum(size)::bigint FROM pg_ls_waldir()) AS wal, current_setting('data_directory') AS directory`)
  return { walBytes: rows[0].wal, dataDirectory: rows[0].directory }
}

/** Resolves with the clock of Postgres, in milliseconds since 1970. */
export async function readClock(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now')
  return rows[0].now
}

/** The indexes that the pipeline's statements need, and how each is created. */
const INDEXES: Record<string, string> = {
  raw_events_pkey: 'ALTER TABLE raw_events ADD PRIMARY KEY (partition, seq)',
  raw_events_correlation:
    'CREATE INDEX raw_events_correlation ON raw_events (tenant_id, correlation_id) WHERE correlation_id <> event_id::text',
  processed_events_pkey: 'ALTER TABLE processed_events ADD PRIMARY KEY (seq)',
  processed_events_position: 'CREATE INDEX processed_events_position ON processed_events (partition, position)',
  event_ids_pkey: 'ALTER TABLE event_ids ADD PRIMARY KEY (tenant_id, event_id, bucket)',
  failed_events_pkey: 'ALTER TABLE failed_events ADD PRIMARY KEY (tenant_id, event_id)',
  failed_events_open: `CREATE INDEX CONCURRENTLY failed_events_open ON failed_events (type, error_class, failed_at) WHERE status = 'open'`,
  failed_events_tenant: 'CREATE INDEX CONCURRENTLY failed_events_tenant ON failed_events (tenant_id, seq)',
  failed_events_seq: 'CREATE INDEX CONCURRENTLY failed_events_seq ON failed_events (seq)',
  retries_pkey: 'ALTER TABLE retries ADD PRIMARY KEY (seq)',
  retries_tenant: 'CREATE INDEX CONCURRENTLY retries_tenant ON retries (tenant_id)',
  retries_partition_due: 'CREATE INDEX CONCURRENTLY retries_partition_due ON retries (partition, due_at)',
}

/** An index that is missing or invalid, and the statement that creates it. */
export interface MissingIndex {
  name: string
  make: string
}

/** Resolves with the missing indexes; an index whose creation was interrupted exists but is invalid. */
export async function findMissingIndexes(db: Queryable): Promise<MissingIndex[]> {
  const { rows } = await db.query(
    `SELECT c.relname AS name, i.indisvalid AS valid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relname = ANY($1) AND pg_table_is_visible(c.oid)`,
    [Object.keys(INDEXES)],
  )
  const found = new Map(rows.map(({ name, valid }) => [name, valid]))
  return Object.entries(INDEXES)
    .filter(([name]) => found.get(name) !== true)
    .map(([name, make]) => ({ name, make: found.has(name) ? `DROP INDEX ${name}; ${make}` : make }))
}
