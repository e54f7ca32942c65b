/**
 * Other queues, each with the settings that its own documentation calls the fastest, and empty jobs. None of them uses
 * HTTP.
 */
import { Queue } from 'bullmq'
import { untilNothingLeft, type Variant } from '../measure.js'
import type { Stack } from '../stack.js'
import { programFile } from './program-file.js'

const EVERY_MS = 100

function peer(about: Omit<Variant, 'group' | 'start'>, openLeft: (stack: Stack) => CountLeft): Variant {
  return {
    ...about,
    group: 'peers',
    async start(stack) {
      const plan = { databaseUrl: stack.databaseUrl, redisUrl: stack.redisUrl }
      const generator = await stack.start('generator', programFile(`${about.name}-add`), { plan })
      await stack.start('worker', programFile(`${about.name}-work`), { plan })
      const { left, close } = openLeft(stack)
      generator.exited.then(close)
      return {
        drive: (order) => generator.order(order),
        drained: () => untilNothingLeft(about.name, EVERY_MS, left),
      }
    },
  }
}

interface CountLeft {
  /** The number of unfinished jobs, from the queue's own state. */
  left: () => Promise<number>
  close: () => unknown
}

const inPostgres =
  (unfinished: string) =>
  ({ db }: Stack): CountLeft => ({
    left: async () => (await db.query(`SELECT count(*)::int AS count FROM ${unfinished}`)).rows[0].count,
    close: () => {},
  })

export const peers: readonly Variant[] = [
  peer(
    {
      name: 'bullmq',
      title: 'BullMQ, addBulk of 500, concurrency 100',
      promise: 'in Redis only: a crash of Redis loses up to a second of jobs; at least once',
    },
    ({ redisUrl: url }) => {
      const queue = new Queue('bench', { connection: { url } })
      queue.on('error', () => {})
      const left = async () => {
        const counts = await queue.getJobCounts('waiting', 'active', 'prioritized', 'delayed')
        return Object.values(counts).reduce((sum, count) => sum + count, 0)
      }
      return { left, close: () => queue.close() }
    },
  ),
  peer(
    {
      name: 'pg-boss',
      title: 'pg-boss, insert and fetch of 500',
      promise: 'committed; at least once; the finished job stays as a row',
    },
    inPostgres("pgboss.job WHERE name = 'bench' AND state < 'completed'"),
  ),
  peer(
    {
      name: 'graphile',
      title: 'graphile-worker, addJobs of 500',
      promise: 'committed; at least once; the finished job is deleted',
    },
    inPostgres('graphile_worker._private_jobs'),
  ),
]
