/** `workers`: who is alive. */
import type { Queryable } from './connect.js'
import { LEASE_TTL_MS } from './partitions.js'

/** A worker that was killed leaves its row behind; after so many days without a heartbeat the others remove it. */
const REMEMBERED_DAYS = 1

/** Says that this worker is alive, and forgets those that have been dead for a day. Under a new process id it has started anew. */
export async function heartbeat(db: Queryable, worker: { id: string; host: string; pid: number }): Promise<void> {
  await db.query({
    name: 'heartbeat',
    text: `
      WITH forgotten AS (
        DELETE FROM workers WHERE worker_id IN (
          SELECT worker_id FROM workers WHERE worker_id <> $1 AND heartbeat_at < now() - $4 * interval '1 day'
          ORDER BY worker_id FOR UPDATE SKIP LOCKED))
      INSERT INTO workers (worker_id, host, pid) VALUES ($1, $2, $3)
      ON CONFLICT (worker_id) DO UPDATE
      SET heartbeat_at = now(), host = excluded.host, pid = excluded.pid,
          started_at = CASE WHEN (workers.host, workers.pid) = (excluded.host, excluded.pid) THEN workers.started_at
                            ELSE now() END`,
    values: [worker.id, worker.host, worker.pid, REMEMBERED_DAYS],
  })
}

/** Says that this worker is gone, so that nobody keeps a share for it. */
export async function removeWorker(db: Queryable, workerId: string): Promise<void> {
  await db.query('DELETE FROM workers WHERE worker_id = $1', [workerId])
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
}

/** Every worker that is alive, or has died without saying so, in the order of their ids. */
export async function readWorkers(db: Queryable): Promise<KnownWorker[]> {
  const { rows } = await db.query({
    text: `
      SELECT worker_id, host, pid, started_at, heartbeat_at,
             extract(epoch FROM now() - heartbeat_at)::float8 AS silent,
             heartbeat_at > now() - $1 * interval '1 millisecond' AS alive,
             ARRAY(SELECT id::integer FROM partitions WHERE owner = worker_id AND lease_expires_at >= now() ORDER BY id) AS held
      FROM workers ORDER BY worker_id`,
    values: [LEASE_TTL_MS],
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
  }))
}
