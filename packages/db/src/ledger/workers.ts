/** `workers`: who is alive. */
import type { Queryable } from '../server/connect.js'

/** A worker that was killed leaves its row behind; after so many days without a heartbeat the others remove it. */
const REMEMBERED_DAYS = 1

/** A worker has a share for as long as a lease of its own lasts from its last heartbeat. */
export const IS_ALIVE = `heartbeat_at > now() - lease_ms * interval '1 millisecond'`

/** One process that works under the id of a worker. */
export interface WorkerProcess {
  id: string
  host: string
  pid: number
  /** Tells this process from every other that has or had the id. */
  run: string
  /** How long its leases last without being renewed, in milliseconds. */
  leaseMs: number
}

/**
 * Says that this process is alive, and forgets workers that have been dead for a day. The id belongs to one process: to the
 * one that has taken it last (`takeOver`), until its heartbeat is too old. Gives the process that has the id instead, if
 * there is one; it is told then that there is a rival.
 */
export async function heartbeat(
  db: Queryable,
  { id, host, pid, run, leaseMs }: WorkerProcess,
  { takeOver }: { takeOver: boolean },
): Promise<{ host: string; pid: number } | undefined> {
  const { rowCount } = await db.query({
    name: 'heartbeat',
    text: `
      WITH forgotten AS (
        DELETE FROM workers WHERE worker_id IN (
          SELECT worker_id FROM workers WHERE worker_id <> $1 AND heartbeat_at < now() - $4 * interval '1 day'
          ORDER BY worker_id FOR UPDATE SKIP LOCKED))
      INSERT INTO workers (worker_id, host, pid, run, lease_ms) VALUES ($1, $2, $3, $5, $6)
      ON CONFLICT (worker_id) DO UPDATE
      SET heartbeat_at = now(), host = excluded.host, pid = excluded.pid, run = excluded.run, lease_ms = excluded.lease_ms,
          started_at = CASE WHEN workers.run = excluded.run THEN workers.started_at ELSE now() END
      WHERE $7 OR workers.run = excluded.run
         OR workers.heartbeat_at < now() - workers.lease_ms * interval '1 millisecond'`,
    values: [id, host, pid, REMEMBERED_DAYS, run, leaseMs, takeOver],
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

/** Says that this process is gone, so that no share is kept for it. */
export async function removeWorker(db: Queryable, { id, run }: Pick<WorkerProcess, 'id' | 'run'>): Promise<void> {
  await db.query('DELETE FROM workers WHERE worker_id = $1 AND run = $2', [id, run])
}

/** A worker as it is known in Postgres. */
export interface KnownWorker {
  id: string
  host: string
  pid: number
  startedAt: Date
  heartbeatAt: Date
  /** Since its last heartbeat, by the database's clock. */
  silentSeconds: number
  /** Its last heartbeat is recent enough for it to have a share. */
  alive: boolean
  /** Those that it owns, with a lease that still holds. */
  partitions: number[]
  /** Another process that is alive and would work under the same id. */
  rival: { host: string; pid: number } | null
}

/** Every worker that is alive, or has died without saying so, in the order of their ids. */
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
