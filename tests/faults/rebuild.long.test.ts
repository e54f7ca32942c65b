/** Windows and joins under faults; then a new version builds them from the whole log, and finds the same (case 45). */
import {
  type BuildCopy,
  type Clients,
  checkHistory,
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
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyOfBuild, places } from './places.js'
import { rebuildReaders } from './rebuild.js'

const EVENTS = 5_000

let build: BuildCopy
let stack: Stack
let journal: Journal
let clients: Clients
let passed = false

beforeAll(async () => {
  build = await copyOfBuild('rebuild')
  const settings = { FAULT_WINDOWS: '1' }
  stack = await startStack({ ...places, ...build, ingests: 2, workers: 2, settings })
  journal = openJournal(`${stack.dir}/journal.ndjson`)
  clients = createClients({ urls: stack.urls, journal, random: createRandom(45) })
}, 150_000)

// A failed run leaves its folder for inspection.
afterAll(async () => {
  await clients.stop()
  await stack.stop({ keep: !passed })
  await build.remove()
})

const verdict = () => checkHistory(`${stack.dir}/journal.ndjson`, stack.db, stack.directRedis, stack.prefix)

test('a rebuild finds what windows and joins have found under faults', async () => {
  clients.start({ rate: 100, lanes: 5, batch: 10, keysPerLane: 20 })
  const nemesis = startNemesis({ stack, clients, random: createRandom(45), everyMs: 4_000 })
  await until('enough events are accepted', () => clients.counts.accepted >= EVENTS, 200_000)
  await nemesis.stop()
  await heal(stack)
  await clients.stop()
  await journal.close()
  await stack.drained(120_000)
  const live = await verdict()
  if (live.violations.length > 0) throw new Error(`${describeVerdict(live)}\n${faultTable(nemesis.records)}`)
  expect(live.counts.windowResults).toBeGreaterThan(EVENTS / 10)
  for (const some of ['windowLate', 'joinPairs', 'joinAlone', 'joinLate'] as const)
    expect(live.counts[some]).toBeGreaterThan(0)
  const { rows, differences } = await rebuildReaders(stack)
  expect(differences).toEqual([])
  expect(rows).toBeGreaterThan(EVENTS / 10)
  const again = await verdict()
  if (again.violations.length > 0) throw new Error(describeVerdict(again))
  passed = true
}, 400_000)
