/** The HTTP service with a standby: which routes read there, and that clients notice nothing of its failures. */
import {
  createDatabase,
  type Link,
  openLink,
  type ReplicatedPostgres,
  startPipeline,
  startReplicatedPostgres,
  type TestPipeline,
  until,
  withPort,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

let postgres: ReplicatedPostgres
let link: Link
let pipeline: TestPipeline

beforeAll(async () => {
  postgres = await startReplicatedPostgres()
  link = await openLink(Number(new URL(postgres.standbyUrl).port))
  pipeline = await start(withPort(postgres.standbyUrl, link.port))
  await isUsed()
}, 60_000)

afterAll(async () => {
  await pipeline?.stop()
  await link?.stop()
  await postgres?.stop()
})

const start = (standbyUrl: string) =>
  startPipeline([step], { DATABASE_URL: postgres.primaryUrl, DATABASE_REPLICA_URL: standbyUrl })

async function metric(name: string): Promise<number | undefined> {
  const text = await (await fetch(`${pipeline.url}/metrics`)).text()
  const value = new RegExp(`^eventflow_${name}\\{.*\\} (\\S+)$`, 'm').exec(text)?.[1]
  return value === undefined ? undefined : Number(value)
}

const isUsed = () => until('reads use the standby', async () => (await metric('standby_used')) === 1)

async function get(path: string): Promise<{ items: { id: string }[] } & Record<string, unknown>> {
  const response = await fetch(`${pipeline.url}${path}`)
  expect([path, response.status]).toEqual([path, 200])
  return (await response.json()) as never
}

const dryRun = () =>
  fetch(`${pipeline.url}/v1/dead-letters/replay`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ filter: {}, dry_run: true }),
  })

test.each([
  ['search', '/v1/events?type=fault.step', 'FROM events WHERE (partition, seq) IN'],
  ['dead letters', '/v1/dead-letters', 'failure_type, error_class'],
  ['groups of them', '/v1/dead-letters?group=true', 'width_bucket'],
  ['the audit log', '/v1/audit-log', 'FROM audit_log'],
  ['the use of a schema', '/v1/schemas/fault.step/usage', 'json_object_keys'],
  ['a dry run', undefined, 'coalesce(min(seq), 0) AS first'],
  ['blocked keys, for the console', undefined, 'waits_for'],
  ['the number of dead letters, for the console', undefined, 'SELECT type, count(*) AS count'],
])('%s: read from the standby, and again from the primary if the connection breaks', async (_, path, text) => {
  await pipeline.send([{ type: 'fault.step', data: { key: 'any', n: 0 } }])
  await isUsed()
  let sprung = false
  link.tripwire = {
    at: 'request',
    text,
    spring() {
      sprung = true
      link.reset()
    },
  }
  if (path) await get(path)
  else if (text.includes('min(seq)')) expect((await dryRun()).status).toBe(200)
  await until(`the standby is asked: ${text}`, () => sprung, path ? 100 : 15_000)
  expect(await metric('standby_fallbacks_total')).toBeDefined()
})

test('while replay is paused: by id from the primary, and lists too once it is far behind', async () => {
  await isUsed()
  await postgres.pause()
  const { items } = await pipeline.send([{ type: 'fault.step', data: { key: 'paused', n: 0 } }])
  const id = items[0]!.id!
  expect(await get(`/v1/events/${id}`)).toMatchObject({ id })
  expect((await get(`/v1/events?id=${id}`)).items).toEqual([expect.objectContaining({ id })])
  await until('the list has it', async () => (await get('/v1/events?key=paused')).items.length === 1)
  expect(await metric('standby_used')).toBe(0)
  expect(await metric('standby_lag_seconds')).toBeGreaterThan(2)
  expect(await metric('standby_fallbacks_total')).toBeGreaterThan(0)
  await postgres.resume()
  await isUsed()
  expect(await metric('standby_lag_seconds')).toBeLessThan(2)
})

test('a standby that is away shows in no answer', async () => {
  await isUsed()
  link.mode = { kind: 'refuse' }
  link.reset()
  await Promise.all(Array.from({ length: 10 }, () => get('/v1/events?type=fault.step')))
  await until('it is noticed', async () => (await metric('standby_used')) === 0)
  expect(pipeline.logged).toContainEqual(
    expect.objectContaining({ msg: 'reads use the primary instead of the standby' }),
  )
  await get('/v1/dead-letters')
  link.mode = { kind: 'pass' }
  await isUsed()
})

test('without a standby there is no gauge of it', async () => {
  const alone = await startPipeline([step])
  const text = await (await fetch(`${alone.url}/metrics`)).text()
  await alone.stop()
  expect(text).not.toMatch(/^eventflow_standby/m)
})

test('the service does not start with the database of another installation', async () => {
  await expect(start(await createDatabase())).rejects.toThrow('DATABASE_REPLICA_URL: its database is not that of')
})
