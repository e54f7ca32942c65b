/** Old results of windows and late events while a worker removes them. */
import { connect, type Db, heartbeat } from '@eventflow/db'
import { createLog } from '@eventflow/runtime'
import { createDatabase, insertRows, makeStateful, until } from '@eventflow/testkit'
import { startRemovingStateHistory } from '@eventflow/upkeep'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const WORKER = { id: 'worker', host: 'here', pid: 1, run: 'run', leaseMs: 60_000 }

let db: Db
let lines: string[]
let removing: { stop(): Promise<void> } | undefined

beforeEach(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
  lines = []
  const group_id = await makeStateful(db, { name: 'revenue', kind: 'window' })
  const results = Array.from({ length: 7 }, (_, n) => ({
    ...{ group_id, generation: 1, partition: 0, tenant_id: 'default', key: `${n}` },
    ...{ start_at: '2026-01-31T10:00:00Z', end_at: '2026-01-31T11:00:00Z', result: {} },
    closed_at: new Date(Date.now() - (n < 5 ? 3 : 1) * 86_400_000),
  }))
  await insertRows(db, 'window_results', results)
})

afterEach(async () => {
  await removing?.stop()
  await db.end()
})

function start(days: number): void {
  const settings = { EVENTFLOW_LOG_LEVEL: 'info', EVENTFLOW_LOG_BATCHES_PER_SECOND: 0 } as const
  const log = createLog('test', settings, {}, { write: (line) => lines.push(line) })
  removing = startRemovingStateHistory({ db, workerId: WORKER.id, days, log, chunk: 2 })
}

const left = async () => (await db.query('SELECT count(*) AS count FROM window_results')).rows[0].count

test('the first living worker removes what is old, chunk by chunk, and says how much', async () => {
  await heartbeat(db, WORKER, { takeOver: true })
  start(2)
  await until('the round has ended', () => lines.length > 0)
  expect(await left()).toBe(2)
  expect(lines.join()).toContain('"results":5')
})

test('another worker leaves it to the first one', async () => {
  await heartbeat(db, { ...WORKER, id: 'another' }, { takeOver: true })
  await heartbeat(db, WORKER, { takeOver: true })
  start(2)
  await removing!.stop()
  expect(await left()).toBe(7)
})

test('without an age everything stays', async () => {
  await heartbeat(db, WORKER, { takeOver: true })
  start(0)
  await removing!.stop()
  expect(await left()).toBe(7)
})
