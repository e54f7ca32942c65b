/** A consumer group whose reset undoes its effects, and ends the process on the way if a setting says so. */
import { defineConsumer } from '@eventflow/sdk'

export default defineConsumer<{ n: number }>({
  name: 'resetting',
  events: ['step'],
  from: 'earliest',
  prepare: async (tx) => void (await tx.query('CREATE TABLE IF NOT EXISTS steps (n integer NOT NULL)')),
  handle: async ({ data }, tx) => void (await tx.query('INSERT INTO steps (n) VALUES ($1)', [data.n])),
  reset: async (tx) => {
    await tx.query('DELETE FROM steps')
    if (process.env.RESET_DIES) process.kill(process.pid, 'SIGKILL')
  },
})
