/** A consumer group whose handler ends the process for some events. */
import { defineConsumer } from '@eventflow/sdk'

export default defineConsumer<{ n: number; mood?: string }>({
  name: 'deadly',
  events: ['group.step'],
  from: 'earliest',
  prepare: async (tx) => {
    await tx.query('CREATE TABLE IF NOT EXISTS deadly_group_effects (n integer NOT NULL, at bigserial)')
  },
  handle: async ({ data }, tx) => {
    if (data.mood === 'kill') process.kill(process.pid, 'SIGKILL')
    await tx.query('INSERT INTO deadly_group_effects (n) VALUES ($1)', [data.n])
  },
})
