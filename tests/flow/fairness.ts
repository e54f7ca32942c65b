/** A tenant with many events and one with few, for the tests of fairness between them. */
import { createApiKey, createTenant } from '@eventflow/db'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect } from '@jest/globals'
import step from '../events/fault-step.js'

const FEW = 10

export const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const TENANTS = ['big', 'small'] as const

export interface Tenants {
  pipeline: TestPipeline
  /** Sends this many events of the big tenant, and then a few of the small one; in order within each key. */
  sendAll(many: number): Promise<void>
  /**
   * Starts a worker, and returns how many events of the big tenant were settled before the last one of the small
   * tenant.
   */
  bigOnesBeforeTheSmall(): Promise<number>
  /** Checks that every event took effect once, and each key's in order. */
  expectAllOnceInOrder(many: number): Promise<void>
  /** How often each partition returned from Postgres to its stream. */
  returns(reason: string): number[]
}

/** Starts a pipeline with both tenants before the tests of a file, and stops it after them. Its streams are in use. */
export function withTenants(): () => Tenants {
  let tenants: Tenants
  let pipeline: TestPipeline
  beforeAll(async () => {
    pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required', EVENTFLOW_LOG_LEVEL: 'info' })
    const keys = new Map<string, string>()
    for (const tenantId of TENANTS) {
      await createTenant(pipeline.db, tenantId, 'test')
      const { key } = await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: ['ingest'] }, 'test')
      keys.set(tenantId, key)
    }
    const worker = await pipeline.startWorker()
    await until('the streams are in use', async () => {
      return (await pipeline.db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')).rowCount === 0
    })
    await worker.stop()
    tenants = tenantsOf(pipeline, keys)
  })
  afterAll(() => pipeline.stop())
  return () => tenants
}

function tenantsOf(pipeline: TestPipeline, keys: ReadonlyMap<string, string>): Tenants {
  async function send(tenant: (typeof TENANTS)[number], count: number): Promise<void> {
    const events = upTo(count).map((i) => {
      const data = { key: `${tenant} ${i % 1_000}`, n: Math.floor(i / 1_000) }
      return { type: 'fault.step', data }
    })
    for (let from = 0; from < count; from += 1_000) {
      const headers = { authorization: `Bearer ${keys.get(tenant)}` }
      const response = await post(`${pipeline.url}/v1/events/batch`, events.slice(from, from + 1_000), headers)
      expect(await response.json()).toMatchObject({ rejected: 0 })
    }
  }

  return {
    pipeline,

    async sendAll(many) {
      await send('big', many)
      await send('small', FEW)
    },

    async bigOnesBeforeTheSmall() {
      const worker = await pipeline.startWorker()
      await pipeline.drained(120_000)
      await pipeline.streamsEmpty()
      await worker.stop()
      const { rows } = await pipeline.db.query(`
        SELECT count(*)::integer AS before FROM processed_events
        WHERE tenant_id = 'big'
          AND processed_at <= (SELECT max(processed_at) FROM processed_events WHERE tenant_id = 'small')`)
      return rows[0].before
    },

    async expectAllOnceInOrder(many) {
      const { rows } = await pipeline.db.query('SELECT key, array_agg(n ORDER BY at) AS done FROM effects GROUP BY key')
      expect(rows).toHaveLength(1_000 + FEW)
      for (const { key, done } of rows) {
        expect([key, done]).toEqual([key, upTo(key.startsWith('big') ? many / 1_000 : 1)])
      }
    },

    returns(reason) {
      const told = pipeline.logged.filter((line) => line.msg === 'caught up from Postgres' && line.reason === reason)
      return upTo(pipeline.partitions).map((id) => told.filter(({ partition }) => partition === id).length)
    },
  }
}
