/** A separate Postgres with a standby, for a test that pauses, stops or promotes the standby. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backUp, connect, type Db, migrate, untilReplayed } from '@eventflow/db'
import { startPostgres, startStandby } from '@eventflow/local'
import { until } from './until.js'

export interface ReplicatedPostgres {
  /** The URLs for the ordinary role of the pipeline's programs. The primary's database is migrated. */
  primaryUrl: string
  standbyUrl: string
  /** The URL of the primary's database for a superuser. */
  adminUrl: string
  /** Connections of a superuser. */
  primary: Db
  standby: Db
  /** Stops replay; resolves when it has stopped. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Resolves when the standby has replayed everything that the primary has written until now. */
  caughtUp(): Promise<void>
  promote(): Promise<void>
  stop(): Promise<void>
}

/** Starts both. */
export async function startReplicatedPostgres(): Promise<ReplicatedPostgres> {
  const dir = await mkdtemp(join(tmpdir(), 'eventflow-replicated-'))
  await chmod(dir, 0o755) // Postgres runs under another account if the tests run as root, and must be able to get there
  const log = () => {}
  const first = await startPostgres({ dir: join(dir, 'primary'), port: 0, standby: true, log })
  await migrate(first.url, { partitions: 4 })
  const second = await startStandby({
    dir: join(dir, 'standby'),
    primary: first,
    port: 0,
    client: { backUp, untilReplayed },
    log,
  })
  const open = (url: string) => connect({ url, applicationName: 'test', max: 4, onIdleError: () => {} })
  const [primary, standby] = [open(first.adminUrl), open(second.adminUrl)]
  return {
    ...{ primaryUrl: first.url, standbyUrl: second.url, adminUrl: first.adminUrl, primary, standby },
    async pause() {
      await standby.query('SELECT pg_wal_replay_pause()')
      // Replay pauses before its next record.
      await primary.query(`SELECT pg_logical_emit_message(true, 'test', 'pause')`)
      await until('replay is paused', async () => {
        const { rows } = await standby.query('SELECT pg_get_wal_replay_pause_state() AS state')
        return rows[0].state === 'paused'
      })
    },
    async resume() {
      await standby.query('SELECT pg_wal_replay_resume()')
    },
    async caughtUp() {
      const { rows } = await primary.query('SELECT pg_current_wal_lsn() AS lsn')
      await until('the standby has caught up', async () => {
        const { rows: replayed } = await standby.query('SELECT pg_last_wal_replay_lsn() >= $1 AS done', [rows[0].lsn])
        return replayed[0].done
      })
    },
    async promote() {
      await standby.query('SELECT pg_promote()')
    },
    async stop() {
      await Promise.all([primary.end(), standby.end()])
      await second.stop()
      await first.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
