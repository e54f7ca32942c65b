/**
 * Faults of windows and joins under light load: every crash point, a worker that is frozen while windows close, and
 * transactions that are still open when their answers are lost. Nothing is counted, closed, joined or emitted twice, and
 * nothing is lost.
 */
import {
  JOIN_CRASH_POINTS,
  LEADS_TO_ANOTHER,
  until,
  WINDOW_CRASH_POINTS,
  whileCommitsHang,
  whileLocked,
} from '@eventflow/testkit'
import { test } from '@jest/globals'
import { type Load, useCrashStage } from './crash-stage.js'
import { joinProofs, windowProofs } from './proofs.js'

const stage = useCrashStage('window-faults', { FAULT_WINDOWS: '1' })

/** Events for each window and each join, out of order by up to three seconds. */
const FOR_WINDOWS: Load = {
  paceMs: 100,
  moodOf(n, i) {
    const moods = [{ mood: LEADS_TO_ANOTHER }, {}, n % 2 === 0 ? { mood: 'handler takes 6 ms' } : {}]
    return { ...moods[i], at: Date.now() - ((n * 7 + i * 3) % 10) * 300 }
  },
}

const CRASH_POINTS = { ...WINDOW_CRASH_POINTS, ...JOIN_CRASH_POINTS }

test.each(Object.keys(CRASH_POINTS) as (keyof typeof CRASH_POINTS)[])(
  'a worker dies with windows and joins: %s',
  async (name) => {
    const [worker] = stage.stack.workers
    const proofs = { ...windowProofs(stage.stack), ...joinProofs(stage.stack) }
    await stage.underLoad(async () => {
      await stage.dies(worker!, CRASH_POINTS[name], proofs[name])
      await worker!.ready(60_000)
    }, FOR_WINDOWS)
  },
  180_000,
)

test('a worker is frozen while windows close, until another has its partitions', async () => {
  const { db, workers } = stage.stack
  const [worker, other] = workers
  await stage.underLoad(async () => {
    await other!.end('SIGTERM')
    await whileLocked(db, 'window_results', async () => {
      await until('windows are being closed', async () => {
        const { rows } = await db.query(
          `SELECT FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INTO window_results%'`,
        )
        return rows.length > 0
      })
      worker!.signal('SIGSTOP')
    })
    other!.start()
    const hasNone = async () => (await stage.count('group_leases WHERE owner = $1', worker!.name)) === 0
    await until('another has its partitions', hasNone, 90_000).finally(() => worker!.signal('SIGCONT'))
    await other!.ready(60_000)
  }, FOR_WINDOWS)
}, 240_000)

test.each(['INSERT OR UPDATE ON group_watermarks', 'INSERT ON window_results', 'DELETE ON join_rows'])(
  'the connections of a worker break while its transactions are being committed: %s',
  async (change) => {
    const { db, links, workers } = stage.stack
    await stage.underLoad(async () => {
      await whileCommitsHang({ db, url: stage.databaseUrl }, change, async () => {
        await until('a COMMIT hangs', async () => {
          const { rows } = await db.query(
            `SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND query = 'COMMIT' AND state = 'active'
               AND application_name LIKE '%groups%'`,
          )
          return rows.length > 0
        })
        for (const { name } of workers) links.get(`${name} postgres`)!.reset()
        await until('the groups look for their cursors again', async () => {
          const { rows } = await db.query(
            `SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE '%SKIP LOCKED%' AND application_name LIKE '%groups%'`,
          )
          return rows.length > 0
        })
      })
    }, FOR_WINDOWS)
  },
  180_000,
)
