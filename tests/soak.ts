/**
 * The soak: a whole pipeline of real processes under load, with a fault every few seconds, and the checker's verdict at
 * the end. `npm run soak -- --minutes N --seed S --tenants T`; with `--alone` each fault waits for the recovery from
 * the one before; with `--rebuild` nothing is removed, and at the end the windows and joins are built anew from the whole log.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { countEvents, createApiKey, createTenant } from '@eventflow/db'
import {
  checkHistory,
  countRemoved,
  countTurns,
  createClients,
  createRandom,
  describeVerdict,
  faultTable,
  heal,
  openJournal,
  slowestRecoveries,
  startNemesis,
  startOperators,
  startStack,
  until,
  type Verdict,
} from '@eventflow/testkit'
import {
  BUCKETS_IN_A_HURRY,
  copyOfBuild,
  HANDLERS_IN_A_HURRY,
  places,
  RETENTION_IN_A_HURRY,
  retentionAfter,
} from './faults/places.js'
import { rebuildReaders } from './faults/rebuild.js'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '2000' },
    every: { type: 'string', default: '4' },
    tenants: { type: 'string', default: '1' },
    alone: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    rebuild: { type: 'boolean', default: false },
  },
})
const [minutes, seed, rate, every] = [values.minutes, values.seed, values.rate, values.every].map(Number) as number[]
const random = createRandom(seed!)
/** Between two requests of the operators of a tenant, in milliseconds. */
const OPERATE_MS = 10_000
/** The age at which settled events are removed, and the time after which the buckets of event ids turn. */
const AGE_SECONDS = Math.min(60, 20 * minutes!)
const NEVER_SECONDS = 36_500
/** When Postgres is slow to commit a turn, ids of that moment are known for less than the age. */
const KNOWN_MS = (AGE_SECONDS - 10) * 1_000

const begun = performance.now()
const say = (text: string) => console.log(`${((performance.now() - begun) / 1_000).toFixed(0).padStart(6)} s  ${text}`)

const build = await copyOfBuild(`soak-${process.pid}`, [...RETENTION_IN_A_HURRY, ...BUCKETS_IN_A_HURRY]) // other builds must not disturb it
// Three parts an age: with many more, every statement would be slower than in any real installation.
const partEvents = Math.ceil((rate! * AGE_SECONDS) / 3)
const settings = {
  ...HANDLERS_IN_A_HURRY,
  ...retentionAfter(values.rebuild ? NEVER_SECONDS : AGE_SECONDS, partEvents),
  FAULT_WINDOWS: '1',
}
const stack = await startStack({ ...places, ...build, ingests: 2, workers: 3, settings })
say(
  `seed ${seed}, ${minutes} minutes, ${rate} events/s, a fault every ${every} s${values.alone ? ', each alone' : ''}; everything is in ${stack.dir}`,
)
const tenants = await Promise.all(Array.from({ length: Number(values.tenants) }, (_, n) => startTenant(n)))
const load = {
  rate: rate! / tenants.length,
  lanes: Math.ceil(20 / tenants.length),
  batch: 50,
  keysPerLane: 250,
  misbehaving: 0.0001,
  againWithinMs: 3 * AGE_SECONDS * 1_000, // an id is forgotten after one to two ages
}
for (const { clients } of tenants) clients.start(load)
await until('every tenant has sent something', () => tenants.every(({ clients }) => clients.counts.accepted > 0))
const nemesis = startNemesis({
  ...{ stack, clients: tenants[0]!.clients, random, everyMs: every! * 1_000, alone: values.alone },
  tell: ({ name, victim }) => say(`${name} (${victim})`),
})
const operators = tenants.map(({ apiKey }, n) =>
  startOperators({ urls: stack.urls, apiKey, random: createRandom(seed! + 1_000 + n), everyMs: OPERATE_MS }),
)

const end = performance.now() + minutes! * 60_000 // the start may take long on a busy machine
while (performance.now() < end) {
  await delay(Math.min(15_000, Math.max(0, end - performance.now())))
  const counts = tenants.map(({ clients }) => clients.counts)
  const sum = (of: 'accepted' | 'attempts' | 'notAccepted') => counts.reduce((sum, each) => sum + each[of], 0)
  const slowestMs = Math.max(...counts.map((each) => each.slowestMs))
  const backlog = await countEvents(stack.db).then(
    ({ unsettled }) => `${unsettled} unsettled`,
    () => 'Postgres is away',
  )
  const memory = `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`
  const requests = `${sum('attempts')} requests, ${sum('notAccepted')} of them not accepted, slowest ${Math.round(slowestMs)} ms`
  say(`${sum('accepted')} accepted, ${backlog}; ${requests}; ${nemesis.records.length} faults; ${memory}`)
}

say('no more faults; waiting for the last to be over')
await Promise.all(operators.map((each) => each.stop()))
await nemesis.stop()
await heal(stack)
await Promise.all(tenants.map(({ clients }) => clients.stop()))
await Promise.all(tenants.map(({ journal }) => journal.close()))
say('no more events; waiting for everything to be settled')
const drainedFrom = performance.now()
const drained = await stack.drained(180_000).then(
  () => `drained in ${((performance.now() - drainedFrom) / 1_000).toFixed(1)} s`,
  (error: Error) => error.message,
)
say(`${drained}; checking`)
console.log(`\n${faultTable(nemesis.records)}\n`)
console.log(`${slowestRecoveries(nemesis.records, 8)}\n`)
for (const { name, problem } of nemesis.records.filter(({ problem }) => problem)) console.log(`${name}: ${problem}`)
const verdicts: [id: string, Verdict][] = []
for (const { id, journalFile } of tenants) {
  const options = { tenantId: id, knownMs: KNOWN_MS }
  verdicts.push([id, await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix, options)])
}
const rebuilt = values.rebuild ? await rebuildReaders(stack, 3 * minutes! * 60_000) : undefined
for (const { id, journalFile } of rebuilt ? tenants : []) {
  const options = { tenantId: id, knownMs: KNOWN_MS }
  const verdict = await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix, options)
  verdicts.push([`${id}, built anew`, verdict])
}
const surprises = [...stack.ingests, ...stack.workers].flatMap(({ name, surprises }) =>
  surprises.map((how) => `${name} ended by itself: ${how}`),
)
await writeFile(join(stack.dir, 'faults.json'), JSON.stringify({ seed, records: nemesis.records, surprises }, null, 2))
for (const surprise of surprises) console.log(surprise)
say(`retention has removed ${await countRemoved(stack.db)} events`)
const turns = Object.entries(await countTurns(stack.db))
say(turns.map(([what, times]) => `${what}: ${times}`).join(', '))
const missing = turns.filter(([, times]) => times === 0 && !values.rebuild)
for (const [what] of missing) say(`${what}: none, so this run has not tested it`)
say(`operators: ${operators.map(({ done }) => JSON.stringify(done)).join(', ')}`)
for (const [id, verdict] of verdicts) say(`tenant ${id}: ${describeVerdict(verdict)}`)
if (rebuilt) say(`windows and joins built anew: ${rebuilt.rows} findings, ${rebuilt.differences.length} differences`)
for (const difference of rebuilt?.differences.slice(0, 5) ?? []) say(`  ${difference}`)
const kept =
  missing.length > 0 ||
  (rebuilt?.differences ?? []).length > 0 ||
  verdicts.some(([, { violations }]) => violations.length > 0)
if (kept) say(`left for inspection: ${stack.dir}`)
await stack.stop({ keep: kept || values.keep })
await build.remove()
process.exit(kept ? 1 : 0)

/** A tenant with an API key and clients; the first one exists already. */
async function startTenant(n: number) {
  const id = n === 0 ? 'default' : `tenant-${n + 1}`
  if (n > 0) await createTenant(stack.db, id, 'soak')
  const { key } = await createApiKey(
    stack.db,
    { tenantId: id, name: 'soak', scopes: ['ingest', 'read', 'replay'] },
    'soak',
  )
  const journalFile = join(stack.dir, `journal-${id}.ndjson`)
  const journal = openJournal(journalFile)
  const random = createRandom(seed! + 1 + n)
  const clients = createClients({ urls: stack.urls, apiKey: key, journal, random })
  return { id, apiKey: key, journalFile, journal, clients }
}
