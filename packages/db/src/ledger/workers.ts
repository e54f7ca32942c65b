/** `workers`: the heartbeats of the workers. */
import type { Queryable } from '../server/connect.js'

/**
 * A worker that was killed leaves its row behind; after this many days without a heartbeat, another worker removes it.
 */
const REMEMBERED_DAYS = 1

/** A worker counts as alive for the length of its leases after its last heartbeat. */
export const IS_ALIVE = `heartbeat_at > now() - lease_ms * interval '1 millisecond'`

/** A process that works under the id of a worker. */
export interface WorkerProcess {
  id: string
  host: string
  pid: number
  /** Distinguishes this process from every other that has or had the id. */
  run: string
  /** The length of its leases, in milliseconds. */
  leaseMs: number
  /** The consumer groups that it reads, and nothing else; undefined for a worker of the pipeline. */
  groups?: readonly string[] | undefined
}

/**
 * Records a heartbeat, and removes workers that have been dead for a day. An id belongs to one process: the one that
 * took it last (`takeOver`), until its heartbeat is too old. Resolves with the process that has the id instead, if any;
 * that process is then shown that it has a rival.
 */
export async function heartbeat(
  db: Queryable,
  { id, host, pid, run, leaseMs, groups }: WorkerProcess,
  { takeOver }: { takeOver: boolean },
): Promise<{ host: string; pid: number } | undefined> {
  const { rowCount } = await db.query({
    name: 'heartbeat',
    text: `
      WITH forgotten AS (
        DELETE FROM workers WHERE worker_id IN (
          SELECT worker_id FROM workers WHERE worker_id <> $1 AND heartbeat_at < now() - $4 * interval '1 day'
          ORDER BY worker_id FOR UPDATE SKIP LOCKED))
      INSERT INTO workers (worker_id, host, pid, run, lease_ms, groups) VALUES ($1, $2, $3, $5, $6, $8)
      ON CONFLICT (worker_id) DO UPDATE
      SET heartbeat_at = now(), host = excluded.host, pid = excluded.pid, run = excluded.run, lease_ms = excluded.lease_ms,
          groups = excluded.groups,
          started_at = CASE WHEN workers.run = excluded.run THEN workers.started_at ELSE now() END
      WHERE $7 OR workers.run = excluded.run
         OR workers.heartbeat_at < now() - workers.lease_ms * interval '1 millisecond'`,
    values: [id, host, pid, REMEMBERED_DAYS, run, leaseMs, takeOver, groups ?? null],
  })
  if (rowCount === 1) return undefined
  const { rows } = await db.query({
    name: 'tell-rival',
    text: `
      UPDATE workers SET rival_host = $2, rival_pid = $3, rival_at = now() WHERE worker_id = $1 AND run <> $4
      RETURNING host, pid`,
    values: [id, host, pid, run],
  })
  return rows[0]
}

/** Records that this process is gone, so that no share is kept for it. */
export async function removeWorker(db: Queryable, { id, run }: Pick<WorkerProcess, 'id' | 'run'>): Promise<void> {
  await db.query('DELETE FROM workers WHERE worker_id = $1 AND run = $2', [id, run])
}

/** A worker as Postgres knows it. */
export interface KnownWorker {
  id: string
  host: string
  pid: number
  startedAt: Date
  heartbeatAt: Date
  /** Seconds since its last heartbeat, by the database's clock. */
  silentSeconds: number
  /** Its last heartbeat is recent enough for a share of the partitions. */
  alive: boolean
  /** The partitions that it owns under a valid lease. */
  partitions: number[]
  /** Another living process that tries to use the same id. */
  rival: { host: string; pid: number } | null
}

/** Resolves with every worker that is alive or has died without removing its row, in the order of their ids. */
export async function readWorkers(db: Queryable): Promise<KnownWorker[]> {
  const { rows } = await db.query({
    text: `
      SELECT worker_id, host, pid, started_at, heartbeat_at,
             extract(epoch FROM now() - heartbeat_at)::float8 AS silent,
             ${IS_ALIVE} AS alive,
             CASE WHEN rival_at > now() - lease_ms * interval '1 millisecond'
                  THEN json_build_object('host', rival_host, 'pid', rival_pid) END AS rival,
             ARRAY(SELECT id::integer FROM partitions WHERE owner = worker_id AND lease_expires_at >= now() ORDER BY id) AS held
      FROM workers ORDER BY worker_id`,
  })
  return rows.map((row) => ({
    id: row.worker_id,
    host: row.host,
    pid: row.pid,
    startedAt: row.started_at,
    heartbeatAt: row.heartbeat_at,
    silentSeconds: row.silent,
    alive: row.alive,
    partitions: row.held,
    rival: row.rival,
  }))
}
