/** The tables of an installation with events become parts while ingest and a worker run: no request notices. */
import { randomUUID } from 'node:crypto'
import { connect, contract, finishExpansion, migrate, readStage } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  createDatabase,
  type Former,
  migrateAsBeforeParts,
  post,
  startPipeline,
  storeInEachState,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const done = defineEvent({
  type: 'test.done',
  schema: Type.Object({}, { additionalProperties: true }),
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (event_id uuid)')
  },
  async handle({ id }, tx) {
    await tx.query('INSERT INTO effects VALUES ($1)', [id])
  },
})

let pipeline: TestPipeline
let former: Former[]

beforeEach(async () => {
  const url = await createDatabase({ migrated: false })
  await migrateAsBeforeParts(url, 16)
  const old = connect({ url, applicationName: 'earlier', max: 1, onIdleError: () => {} })
  former = await storeInEachState(old, 8)
  await old.end()
  await migrate(url, { partitions: 16 })
  await finishExpansion(url)
  pipeline = await startPipeline([done], { DATABASE_URL: url })
  await pipeline.startWorker()
})

afterEach(() => pipeline.stop())

const request = (id: string) => ({ type: 'test.done', id, data: {} })

/**
 * Sends, resends and reads events until stopped. Resolves with what it sent, and with every answer that was an error.
 */
function startRequests() {
  const sent: string[] = []
  const failures: string[] = []
  let stopped = false
  const get = async (path: string) => {
    const response = await fetch(`${pipeline.url}${path}`)
    if (!response.ok) failures.push(`${path}: ${response.status} ${await response.text()}`)
  }
  async function round(): Promise<void> {
    const ids = Array.from({ length: 10 }, () => randomUUID())
    const one = await post(`${pipeline.url}/v1/events`, request(ids[0]!))
    if (one.status !== 202) failures.push(`${one.status} ${await one.text()}`)
    const { items } = await pipeline.send([...ids, sent.at(-1) ?? ids[0]!].map(request))
    failures.push(...items.filter(({ status }) => status === 'rejected').map((item) => JSON.stringify(item)))
    if (items.filter(({ status }) => status === 'duplicate').length !== 2) failures.push('a duplicate was accepted')
    sent.push(...ids)
    for (const path of [`events/${ids[0]}`, 'events?limit=5', 'dead-letters']) await get(`/v1/${path}`)
  }
  const running = Promise.all(
    Array.from({ length: 3 }, async () => {
      while (!stopped) await round().catch((error) => failures.push(String(error)))
    }),
  )
  return {
    sent,
    async stop() {
      stopped = true
      await running
      return failures
    },
  }
}

test('a running pipeline goes on, and settles each event once', async () => {
  const requests = startRequests()
  await until('events are accepted in the former tables', () => requests.sent.length > 200)
  expect(await readStage(pipeline.db)).toBe('expanded')
  await until('the tables are in parts', () => contract(pipeline.databaseUrl, { partEvents: 1_000, silentSeconds: 3 }))
  const before = requests.sent.length
  await until('events are accepted in parts', () => requests.sent.length > before + 200)
  expect(await requests.stop()).toEqual([])
  await pipeline.drained()

  const unsettled = former.filter(({ state }) => !['processed', 'failed', 'discarded'].includes(state))
  const ids = [...requests.sent, ...unsettled.map(({ id }) => id)].sort()
  const { rows } = await pipeline.db.query('SELECT event_id AS id FROM effects ORDER BY event_id')
  expect(rows.map(({ id }) => id)).toEqual(ids)
  const { rows: parts } = await pipeline.db.query(
    'SELECT DISTINCT tableoid::regclass::text AS part FROM processed_events ORDER BY part',
  )
  expect(parts.map(({ part }) => part)).toEqual(['processed_events_0', 'processed_events_1'])
  expect(pipeline.logged.filter((line) => JSON.stringify(line).includes('cached plan'))).toEqual([])
})
