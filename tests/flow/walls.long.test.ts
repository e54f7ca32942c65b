/**
 * The walls between tenants for shared resources: while one attacks on every route, another one's requests are answered
 * as if it were alone, and the attacker's use is bounded.
 */
import { ATTACKS, type AttackName, attack } from '@eventflow/bench/worst-tenant'
import { createApiKey, createTenant, SCOPES, setQuota } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'

/** Which attacks run together: each run takes a second or two. */
const RUNS = 10

const plain = defineEvent({ type: 'bench.plain', schema: Type.Object({ text: Type.String() }) })

const names = Object.keys(ATTACKS) as AttackName[]

let pipeline: TestPipeline
let key: { worst: string; quiet: string }

beforeAll(async () => {
  pipeline = await startPipeline([plain], { EVENTFLOW_AUTH: 'required' })
  await pipeline.startWorker()
  const keyOf = async (tenantId: string) => {
    await createTenant(pipeline.db, tenantId, 'test')
    return (await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: [...SCOPES] }, 'test')).key
  }
  // Quotas limit the incoming events; without one they may be all that the machine can process.
  await createTenant(pipeline.db, 'worst', 'test')
  await setQuota(pipeline.db, 'worst', { eventsPerSecond: 1_000, bytesPerSecond: 2_000_000 }, 'test')
  key = { worst: await keyOf('worst'), quiet: await keyOf('quiet') }
})

afterAll(() => pipeline.stop())

/** One of everything that a tenant does; returns the unexpected statuses. */
async function useEverything(): Promise<unknown[]> {
  const headers = { authorization: `Bearer ${key.quiet}` }
  const get = (path: string) => fetch(pipeline.url + path, { headers })
  const send = (path: string, body: object) => post(pipeline.url + path, body, headers)
  const event = { type: 'bench.plain', data: { text: 'x' } }
  const asked: [name: string, status: number, answer: Promise<Response>][] = [
    ['an event', 202, send('/v1/events', event)],
    ['a batch', 200, send('/v1/events/batch', Array(100).fill(event))],
    ['a search', 200, get('/v1/events?type=bench.plain')],
    ['its dead letters', 200, get('/v1/dead-letters?group=true&status=all')],
    ['an event that is not there', 404, get('/v1/events/00000000-0000-7000-8000-000000000000?wait=1ms')],
    ['a schema check', 200, send('/v1/schemas/bench.quiet/check', { schema: { type: 'object' } })],
    ['a replay', 200, send('/v1/dead-letters/replay', { filter: { type: 'none' }, dry_run: true })],
    ['its keys', 200, get('/v1/keys')],
    ['whether it lives', 200, fetch(`${pipeline.url}/livez`)],
  ]
  const answers = await Promise.all(
    asked.map(async ([name, expected, answer]) => {
      const response = await answer
      const text = await response.text()
      return response.status === expected ? [] : [[name, response.status, text.slice(0, 300)]]
    }),
  )
  return answers.flat()
}

test('one tenant does its worst, and another one is never refused', async () => {
  expect(await useEverything()).toEqual([])
  const property = fc.asyncProperty(fc.subarray(names, { minLength: 1 }), async (chosen) => {
    const attacks = attack({ url: pipeline.url, key: key.worst }, chosen)
    try {
      for (let n = 0; n < 3; n++) expect(await useEverything()).toEqual([])
    } finally {
      await attacks.stop()
    }
  })
  await fc.assert(property, { numRuns: RUNS, examples: [[names]] })
}, 300_000)
