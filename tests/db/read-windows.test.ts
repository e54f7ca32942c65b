/** How the checker reads the history of windows. */
import { ADVISORY_LOCKS, connect } from '@eventflow/db'
import { createDatabase, readWindows, sessionsWaiting, until } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

test('it waits while retention removes events, which a snapshot from before would lack', async () => {
  const db = connect({ url: await createDatabase(), applicationName: 'test', max: 3, onIdleError: () => {} })
  const retention = await db.connect()
  await retention.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCKS.retention])
  let isRead = false
  const reading = readWindows(db, 'default', () => {}).then(() => {
    isRead = true
  })
  await until('it waits', async () => isRead || (await sessionsWaiting(db)).length > 0)
  expect(isRead).toBe(false)
  retention.release(true)
  await reading
  await db.end()
})
