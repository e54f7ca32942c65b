/** New versions of windows and joins in tests. */
import { type TestPipeline, until } from '@eventflow/testkit'

/** Waits until people see this generation of the only group. */
export const untilShown = ({ db }: TestPipeline, generation = 2) =>
  until('the new generation is shown', async () => {
    return (await db.query('SELECT generation FROM consumer_groups')).rows[0].generation === generation
  })

/** Starts a worker with the second version of the only group. This version reads and emits, but is never shown. */
export async function startNeverShown(pipeline: TestPipeline) {
  const { db } = pipeline
  await db.query(`UPDATE consumer_groups SET paused_for = 'a test'`)
  const worker = await pipeline.startWorker()
  // One more partition, which no worker reads.
  await db.query(
    `INSERT INTO group_cursors (group_id, generation, partition, position, silent_until, former)
     SELECT group_id, 2, 999, 0, 1, 1 FROM consumer_groups`,
  )
  await db.query('UPDATE consumer_groups SET paused_for = NULL')
  return worker
}

/** Holds the locks of a statement while `work` runs, however long: also on a busy machine. */
export async function whileHeld({ db }: TestPipeline, statement: string, work: () => Promise<void>): Promise<void> {
  const client = await db.connect()
  try {
    await client.query(`BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; ${statement}`)
    await work()
  } finally {
    // Ends the transaction, in any state.
    client.release(true)
  }
}
