/**
 * Every kind of fault once, under load, with windows and with retention running, on real processes and servers; then the checker's
 * verdict.
 */
import {
  ALL_FAULTS,
  type BuildCopy,
  type Clients,
  checkHistory,
  countRemoved,
  createClients,
  createRandom,
  describeVerdict,
  faultTable,
  heal,
  type Journal,
  openJournal,
  type Stack,
  startNemesis,
  startStack,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyOfBuild, places, RETENTION_IN_A_HURRY, retentionAfter } from './places.js'

/** The age at which settled events are removed, in seconds. No consumer group may be so far behind: it would be paused. */
const AGE = 45

let build: BuildCopy
let stack: Stack
let journal: Journal
let clients: Clients
let passed = false

beforeAll(async () => {
  build = await copyOfBuild('every-fault', RETENTION_IN_A_HURRY)
  const settings = { ...retentionAfter(AGE), FAULT_WINDOWS: '1' }
  stack = await startStack({ ...places, ...build, ingests: 2, workers: 3, settings })
  journal = openJournal(`${stack.dir}/journal.ndjson`)
  clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
}, 60_000)

// A failed run leaves its folder for inspection.
afterAll(async () => {
  await clients.stop()
  await stack.stop({ keep: !passed })
  await build.remove()
})

test('no fault loses, doubles or reorders anything', async () => {
  clients.start({ rate: 250, lanes: 8, batch: 10, keysPerLane: 50 })
  const nemesis = startNemesis({ stack, clients, random: createRandom(2), everyMs: 1_000, once: true })
  await nemesis.done
  await heal(stack)
  await clients.stop()
  await journal.close()
  await stack.drained()
  const verdict = await checkHistory(`${stack.dir}/journal.ndjson`, stack.db, stack.directRedis, stack.prefix)
  if (verdict.violations.length > 0) throw new Error(`${describeVerdict(verdict)}\n${faultTable(nemesis.records)}`)
  expect(nemesis.records.filter(({ problem }) => problem)).toEqual([])
  expect(new Set(nemesis.records.map(({ name }) => name)).size).toBe(ALL_FAULTS.length)
  expect([...stack.ingests, ...stack.workers].flatMap(({ surprises }) => surprises)).toEqual([])
  expect(clients.counts.slowestMs).toBeLessThan(AGE * 1_000)
  expect(await countRemoved(stack.db)).toBeGreaterThan(0)
  passed = true
}, 300_000)
