/** Quick scenarios of ownership. */
import { setTimeout as delay } from 'node:timers/promises'
import { withTransaction } from '@eventflow/db'
import { PARTITIONS, until } from '@eventflow/testkit'
import type { QuickScenario } from './stage.js'
import { working } from './steps.js'

/** A worker restarts under its id, while another session locks one row of its partitions. */
export const startsWithALockedRow: QuickScenario = async ({ pipeline, db, clients, claim }) => {
  const keys = Array.from({ length: 40 }, (_, n) => ({ key: `owned ${n}` }))
  await db.query(`UPDATE partitions SET owner = 'worker-1', lease_expires_at = now() + interval '1 minute'`)
  const epochs = async () => (await db.query('SELECT epoch FROM partitions WHERE id > 0 ORDER BY id')).rows
  await withTransaction(db, async (tx) => {
    await tx.query('SELECT FROM partitions WHERE id = 0 FOR UPDATE')
    await pipeline.startWorker('worker-1')
    await until('the others are taken', async () => (await epochs()).every(({ epoch }) => epoch > 0))
    const before = await epochs()
    await clients.send(keys)
    await delay(1_000) // how long the row is locked
    claim('what it holds is not taken again', JSON.stringify(await epochs()) === JSON.stringify(before))
  })
  await until('all are taken', async () => {
    const { rows } = await db.query(`SELECT FROM partitions WHERE owner = 'worker-1' AND epoch > 0`)
    return rows.length === PARTITIONS
  })
}

/** A worker owns all partitions, and then another does. */
export const changesHands: QuickScenario = async (stage) => {
  const first = await working(stage, 'worker-1')
  await stage.clients.send([{ key: 'before' }])
  await first.stop()
  await working(stage, 'worker-2')
  await stage.clients.send([{ key: 'after' }])
}
