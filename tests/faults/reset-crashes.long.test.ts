/** A worker dies while it resets a consumer group: the effects of the group are those of one reading of the log. */
import { join } from 'node:path'
import { resetConsumerGroup } from '@eventflow/db'
import { startPipeline, type TestPipeline, until, whileCommitsHang } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import step from '../resetting-groups/steps.js'

const EVENTS = join(import.meta.dirname, '../resetting-groups')
const NUMBERS = Array.from({ length: 100 }, (_, n) => n)

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([step])
  const worker = await startWorker()
  await pipeline.send(NUMBERS.map((n) => ({ type: 'step', partitionkey: `k${n % 7}`, data: { n } })))
  await until('the group has read all', async () => (await effects()).length === 100)
  worker.kill('SIGTERM')
  await worker.exited
})

afterEach(() => pipeline.stop())

/** Of one name: the next one has the leases of the former one at once. */
const startWorker = (settings: Record<string, string> = {}) => pipeline.startWorkerProcess('a', EVENTS, settings)

const rows = async (text: string) => (await pipeline.db.query(text)).rows
const effects = async () => (await rows('SELECT n FROM steps ORDER BY n')).map(({ n }) => n)
const reset = () =>
  resetConsumerGroup(pipeline.db, {
    ...{ tenantId: 'default', name: 'resetting', by: 'a test', to: 'earliest', emitNew: false },
  })

/** Waits until the reset is done, and the group has read the log to its end. */
const untilDone = () =>
  until('the group has read all again', async () => {
    const [{ unread }] = await rows(
      `SELECT count(*) AS unread FROM consumer_groups JOIN group_cursors c USING (group_id, generation)
       JOIN processed_events p USING (partition) WHERE p.position > c.position OR reset_to IS NOT NULL`,
    )
    return unread === 0
  })

test('it dies in the hook', async () => {
  await reset()
  const dying = await startWorker({ RESET_DIES: '1' }).catch(() => undefined)
  expect(await (dying?.exited ?? 'signal SIGKILL')).toBe('signal SIGKILL')
  expect(await effects()).toEqual(NUMBERS)
  await startWorker()
  await untilDone()
  expect(await effects()).toEqual(NUMBERS)
}, 120_000)

test.each([
  ['while its reset is being committed', 'DELETE ON steps'],
  ['while the first events that it reads again are being committed', 'INSERT ON steps'],
])(
  'it dies %s',
  async (_, change) => {
    await reset()
    await whileCommitsHang({ db: pipeline.db, url: pipeline.databaseUrl }, change, async () => {
      const worker = await startWorker()
      const commits = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COMMIT%'
                       AND state = 'active' AND application_name LIKE '%groups%'`
      await until('the COMMIT hangs', async () => (await rows(commits)).length > 0)
      worker.kill('SIGKILL')
      await worker.exited
    })
    await startWorker()
    await untilDone()
    expect(await effects()).toEqual(NUMBERS)
  },
  120_000,
)
