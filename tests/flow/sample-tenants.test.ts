/** The tables of the samples with two tenants, and tables created before they had a tenant. */
import { join } from 'node:path'
import { connect, createApiKey, createTenant, OPERATOR_TENANT, prepare } from '@eventflow/db'
import { type EventDefinition, loadDefinitions } from '@eventflow/sdk'
import { createDatabase, post, startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const SAMPLES = join(import.meta.dirname, '../../../packages/samples/dist/events')

let pipeline: TestPipeline
let definitions: EventDefinition[]

beforeAll(async () => {
  const url = await createDatabase()
  const db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
  // As earlier samples created and filled them.
  await db.query(`
    CREATE TABLE user_profiles (
      user_id text PRIMARY KEY, email text NOT NULL, name text NOT NULL, updated_at timestamptz NOT NULL);
    INSERT INTO user_profiles VALUES ('u-1', 'old@example.com', 'Old', '2025-01-01T00:00:00Z');
    CREATE TABLE airport_stats (
      airport text PRIMARY KEY,
      flights bigint NOT NULL CHECK (flights > 0),
      delay_minutes bigint NOT NULL,
      average_delay numeric GENERATED ALWAYS AS (round(delay_minutes::numeric / flights, 2)) STORED);
    INSERT INTO airport_stats (airport, flights, delay_minutes) VALUES ('DTW', 3, 30)`)
  await db.end()
  definitions = [...(await loadDefinitions(SAMPLES)).events.values()]
  pipeline = await startPipeline(definitions, { DATABASE_URL: url })
})

afterAll(() => pipeline.stop())

const rows = async (text: string) => (await pipeline.db.query({ text, rowMode: 'array' })).rows

const PROFILES = 'SELECT tenant_id, user_id, name FROM user_profiles ORDER BY tenant_id, user_id'
const STATS =
  'SELECT tenant_id, airport, flights::int, delay_minutes::int FROM airport_stats ORDER BY tenant_id, airport'

test('older tables keep their rows, as those of default, and each tenant has separate rows from then on', async () => {
  expect(await rows(PROFILES)).toEqual([['default', 'u-1', 'Old']])
  expect(await rows(STATS)).toEqual([['default', 'DTW', 3, 30]])
  // As at each further start.
  await prepare(
    pipeline.databaseUrl,
    definitions.flatMap((definition) => definition.prepare ?? []),
  )
  await pipeline.startWorker()

  await createTenant(pipeline.db, 'acme', 'test')
  const flight = { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' }
  for (const tenantId of ['acme', OPERATOR_TENANT]) {
    const { key } = await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: ['ingest'] }, 'test')
    const user = { userId: 'u-2', email: 'ada@example.com', name: `Ada of ${tenantId}` }
    const events = [
      { type: 'user.updated', data: user },
      { type: 'flight.completed', data: flight },
      { type: 'flight.completed', data: flight },
    ]
    await post(`${pipeline.url}/v1/events/batch`, events, { authorization: `Bearer ${key}` })
  }
  await pipeline.drained()
  expect(await rows(PROFILES)).toEqual([
    ['acme', 'u-2', 'Ada of acme'],
    ['default', 'u-1', 'Old'],
    ['default', 'u-2', 'Ada of default'],
  ])
  expect(await rows(STATS)).toEqual([
    ['acme', 'DTW', 2, 132],
    ['default', 'DTW', 5, 162],
  ])
  expect(await rows('SELECT count(*)::int FROM failed_events')).toEqual([[0]])
})
