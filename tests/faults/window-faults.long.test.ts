/**
 * Faults of windows under light load: every crash point, a worker that is frozen while windows close, and transactions
 * that are still open when their answers are lost. Nothing is counted, closed or emitted twice, and nothing is lost.
 */
import { withTransaction } from '@eventflow/db'
import { LEADS_TO_ANOTHER, until, WINDOW_CRASH_POINTS, whileCommitsHang } from '@eventflow/testkit'
import { test } from '@jest/globals'
import { type Load, useCrashStage } from './crash-stage.js'
import { windowProofs } from './proofs.js'

const stage = useCrashStage('window-faults', { FAULT_WINDOWS: '1' })

/** Events for each kind of window, out of order by up to three seconds. */
const FOR_WINDOWS: Load = {
  paceMs: 100,
  moodOf(n, i) {
    const moods = [{ mood: LEADS_TO_ANOTHER }, {}, n % 2 === 0 ? { mood: 'handler takes 6 ms' } : {}]
    return { ...moods[i], at: Date.now() - ((n * 7 + i * 3) % 10) * 300 }
  },
}

test.each(Object.keys(WINDOW_CRASH_POINTS) as (keyof typeof WINDOW_CRASH_POINTS)[])(
  'a worker dies with windows: %s',
  async (name) => {
    const [worker] = stage.stack.workers
    await stage.underLoad(async () => {
      await stage.dies(worker!, WINDOW_CRASH_POINTS[name], windowProofs(stage.stack)[name])
      await worker!.ready(60_000)
    }, FOR_WINDOWS)
  },
  180_000,
)

test('a worker is frozen while windows close, until another has its partitions', async () => {
  const { db, workers } = stage.stack
  const [worker] = workers
  const ofWorker = `JOIN group_leases l USING (group_id, partition) WHERE owner = '${worker!.name}'`
  await stage.underLoad(async () => {
    await until('it has open windows', async () => (await stage.count(`window_state ${ofWorker}`)) > 0)
    await withTransaction(db, async (tx) => {
      await tx.query(`SELECT FROM window_state s ${ofWorker} FOR UPDATE OF s`)
      await until('windows are about to close', async () => {
        const { rows } = await db.query(
          `SELECT FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%DELETE FROM window_state%'`,
        )
        return rows.length > 0
      })
      worker!.signal('SIGSTOP')
    })
    const hasNone = async () => (await stage.count('group_leases WHERE owner = $1', worker!.name)) === 0
    await until('another has its partitions', hasNone, 60_000).finally(() => worker!.signal('SIGCONT'))
  }, FOR_WINDOWS)
}, 180_000)

test.each(['INSERT OR UPDATE ON group_watermarks', 'INSERT ON window_results'])(
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
