/** The limits of each part of the machine: no pipeline that uses them all can be faster than the slowest. */
import { migrate } from '@eventflow/db'
import { freePort } from '@eventflow/local'
import { USERS } from '../load/order-events.js'
import type { LoadOrder, LoadReport } from '../load/orders.js'
import type { Variant } from '../measure.js'
import type { Program } from '../program.js'
import type { HttpLoad } from '../programs/http-load.js'
import { type LoadKind, PARTITIONS } from './eventflow.js'
import { programFile } from './program-file.js'

const nothingUnderWay = async () => {}

function http(about: Pick<Variant, 'name' | 'title'>, load: LoadKind): Variant {
  return {
    ...about,
    group: 'limits',
    promise: 'none',
    async start(stack) {
      const port = (await freePort(0))!
      await stack.start('ingest', programFile('accept-only'), { plan: { port } })
      const urls = [`http://127.0.0.1:${port}`]
      const plan: HttpLoad = { type: 'bench.plain', batch: 1, ndjson: false, users: USERS, ...load, urls }
      const generator = await stack.start('generator', programFile('http-load'), { plan })
      return { drive: (order) => generator.order(order), drained: nothingUnderWay }
    },
  }
}

/** Concurrent inserting processes: one for each core of the intended machines. */
const INSERTERS = 2

export const limits: readonly Variant[] = [
  http({ name: 'limit-http', title: 'HTTP alone, 64 connections' }, { connections: 64 }),
  http({ name: 'limit-http-500', title: 'HTTP alone, batches of 500' }, { connections: 8, batch: 500 }),
  {
    name: 'limit-xadd',
    group: 'limits',
    title: 'XADD alone, pipelines of 500',
    promise: 'in the memory of Redis, on disk within a second',
    async start({ redisUrl, start }) {
      const generator = await start('generator', programFile('xadd'), { plan: { redisUrl } })
      return { drive: (order) => generator.order(order), drained: nothingUnderWay }
    },
  },
  {
    name: 'limit-inserts',
    group: 'limits',
    title: 'both INSERTs alone, batches of 500',
    promise: 'committed',
    async start({ databaseUrl, start }) {
      await migrate(databaseUrl, { partitions: PARTITIONS })
      const startOne = () => start('generator', programFile('two-inserts'), { plan: { databaseUrl } })
      const generators = await Promise.all(Array.from({ length: INSERTERS }, startOne))
      return { drive: (order) => driveAll(generators, order), drained: nothingUnderWay }
    },
  },
]

/** Gives each generator the order; resolves with the sum of their reports. */
export async function driveAll(generators: readonly Program[], order: LoadOrder): Promise<LoadReport> {
  const reports = await Promise.all(generators.map((generator) => generator.order(order)))
  return {
    events: reports.reduce((sum, { events }) => sum + events, 0),
    seconds: Math.max(...reports.map(({ seconds }) => seconds)),
  }
}
