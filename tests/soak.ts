/**
 * The soak: a whole pipeline of real processes under load, with a fault every few seconds, and the checker's verdict at the end.
 * `npm run soak -- --minutes N --seed S`
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { countEvents } from '@eventflow/db'
import {
  checkHistory,
  createClients,
  createRandom,
  describeVerdict,
  faultTable,
  heal,
  openJournal,
  startNemesis,
  startStack,
} from '@eventflow/testkit'
import { copyOfBuild, places } from './faults/places.js'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '2000' },
    every: { type: 'string', default: '4' },
    keep: { type: 'boolean', default: false },
  },
})
const [minutes, seed, rate, every] = [values.minutes, values.seed, values.rate, values.every].map(Number) as number[]
const random = createRandom(seed!)
const begun = performance.now()
const say = (text: string) => console.log(`${((performance.now() - begun) / 1_000).toFixed(0).padStart(6)} s  ${text}`)

const build = await copyOfBuild(`soak-${process.pid}`) // whoever builds during a long run must not disturb it
const stack = await startStack({ ...places, ...build, ingests: 2, workers: 3 })
say(`seed ${seed}, ${minutes} minutes, ${rate} events/s, a fault every ${every} s; everything is in ${stack.dir}`)
const journalFile = join(stack.dir, 'journal.ndjson')
const journal = openJournal(journalFile)
const clients = createClients({ urls: stack.urls, journal, random: createRandom(seed! + 1) })
clients.start({ rate: rate!, lanes: 20, batch: 50, keysPerLane: 250 })
await delay(2_000)
const nemesis = startNemesis({
  ...{ stack, clients, random, everyMs: every! * 1_000 },
  tell: ({ name, victim }) => say(`${name} (${victim})`),
})

const end = begun + minutes! * 60_000
while (performance.now() < end) {
  await delay(Math.min(15_000, Math.max(0, end - performance.now())))
  const { accepted, attempts, notAccepted, slowestMs } = clients.counts
  const backlog = await countEvents(stack.db).then(
    ({ unsettled }) => `${unsettled} unsettled`,
    () => 'Postgres is away',
  )
  const memory = `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`
  const requests = `${attempts} requests, ${notAccepted} of them not accepted, slowest ${Math.round(slowestMs)} ms`
  say(`${accepted} accepted, ${backlog}; ${requests}; ${nemesis.records.length} faults; ${memory}`)
}

say('no more faults; waiting for the last to be over')
await nemesis.stop()
await heal(stack)
await clients.stop()
await journal.close()
say('no more events; waiting for everything to be settled')
const drainedFrom = performance.now()
const drained = await stack.drained(180_000).then(
  () => `drained in ${((performance.now() - drainedFrom) / 1_000).toFixed(1)} s`,
  (error: Error) => error.message,
)
say(`${drained}; checking`)
const verdict = await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix)
const surprises = [...stack.ingests, ...stack.workers].flatMap(({ name, surprises }) =>
  surprises.map((how) => `${name} ended by itself: ${how}`),
)
await writeFile(join(stack.dir, 'faults.json'), JSON.stringify({ seed, records: nemesis.records, surprises }, null, 2))

console.log(`\n${faultTable(nemesis.records)}\n`)
for (const { name, problem } of nemesis.records.filter(({ problem }) => problem)) console.log(`${name}: ${problem}`)
for (const surprise of surprises) console.log(surprise)
say(describeVerdict(verdict))
const kept = verdict.violations.length > 0
if (kept) say(`left for inspection: ${stack.dir}`)
await stack.stop({ keep: kept || values.keep })
await build.remove()
process.exit(kept ? 1 : 0)
