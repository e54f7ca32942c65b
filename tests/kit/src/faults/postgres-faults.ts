/** Faults of Postgres, which may go down but is trusted to keep what it committed. */
import { setTimeout as delay } from 'node:timers/promises'
import { withTransaction } from '@eventflow/db'
import type { FaultKind } from './fault.js'
import { PARTITIONS } from './stack.js'

const crashed: FaultKind = ({ postgres }, random) => {
  if (!postgres) return undefined
  const downMs = random.between(0, 3_000)
  return { name: 'postgres: crashed and restarted', ...postgresItself, run: () => postgres.crash(downMs) }
}

const terminated: FaultKind = ({ db }, random) => {
  const share = random.pick([0.2, 1])
  return {
    name: 'postgres: backends terminated',
    ...postgresItself,
    async run(struck) {
      await db.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name LIKE 'eventflow-%' AND datname = current_database() AND random() < $1`,
        [share],
      )
      struck()
    },
  }
}

/** A session outside the pipeline holds a lock that the pipeline needs. */
const locked: FaultKind = ({ db }, random) => {
  const first = random.between(0, PARTITIONS - 1)
  const ms = random.between(1_000, 5_000)
  return {
    name: `postgres: a stranger's lock on partitions`,
    ...postgresItself,
    run: () =>
      withTransaction(db, async (tx) => {
        await tx.query('SELECT FROM partitions WHERE id >= $1 AND id < $1 + 4 ORDER BY id FOR UPDATE', [first])
        await delay(ms)
      }),
  }
}

export const postgresFaults: readonly FaultKind[] = [crashed, terminated, locked]

const postgresItself = { victim: 'postgres', takes: ['postgres'] }
