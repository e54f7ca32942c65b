/**
 * Long scenarios with their figures. `npm run story -- flushall --events 1000000`: Redis loses everything with a
 * backlog. `npm run story -- redis-away --minutes 10`: Redis goes down under load, and comes back; with `--mood` all
 * events have a mood. `npm run story -- disk-full`: the disk of the tables fills up under load, and then has room
 * again; this one requires root.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { countEvents } from '@eventflow/db'
import { readDepths } from '@eventflow/redis'
import {
  type Clients,
  checkHistory,
  createClients,
  createRandom,
  describeVerdict,
  moveToSmallDisk,
  openJournal,
  PARTITIONS,
  readJournal,
  type Stack,
  startStack,
  until,
} from '@eventflow/testkit'
import { copyOfBuild, places } from './faults/places.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '1' },
    rate: { type: 'string', default: '1000' },
    mood: { type: 'string' },
  },
})
const begun = performance.now()
const seconds = (from: number) => `${((performance.now() - from) / 1_000).toFixed(1)} s`
const say = (text: string) => console.log(`${seconds(begun).padStart(10)}  ${text}`)
/** The period in which Redis was down. */
let without: [number, number] = [0, 0]
const stories: Record<string, (stack: Stack, clients: Clients) => Promise<void>> = {
  flushall,
  'redis-away': redisAway,
  'disk-full': diskFull,
}

const story = stories[positionals[0] ?? '']
if (!story) throw new Error(`no such story; there are: ${Object.keys(stories).join(', ')}`)
const build = await copyOfBuild(`story-${process.pid}`)
const stack = await startStack({ ...places, ...build, ingests: 2, workers: 3 })
const journalFile = join(stack.dir, 'journal.ndjson')
const journal = openJournal(journalFile)
const clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
try {
  await story(stack, clients)
} catch (error) {
  await stack.stop({ keep: true })
  await build.remove()
  throw error
}
await stack.drained(120_000)
await journal.close()
const answers: Record<string, number> = {}
const took: number[] = []
for await (const { result, detail, from, until } of readJournal(journalFile)) {
  answers[detail ?? result] = (answers[detail ?? result] ?? 0) + 1
  if (without[0] <= from && until <= without[1]) took.push(until - from)
}
say(`answers to requests: ${JSON.stringify(answers)}`)
if (took.length > 0) {
  took.sort((a, b) => a - b)
  const at = (share: number) => `${took[Math.floor(share * (took.length - 1))]!.toFixed(0)} ms`
  say(`${took.length} requests without Redis were answered after p50 ${at(0.5)}, p99 ${at(0.99)}, the slowest ${at(1)}`)
}
const verdict = await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix)
say(describeVerdict(verdict))
const kept = verdict.violations.length > 0
await stack.stop({ keep: kept })
await build.remove()
process.exit(kept ? 1 : 0)

async function flushall({ workers, directRedis, db }: Stack, { send }: Clients): Promise<void> {
  const events = Number(values.events)
  await Promise.all(workers.map((worker) => worker.stop()))
  const lane = async (number: number) => {
    for (let n = 0; n < events / 8; n += 500) {
      await send(Array.from({ length: 500 }, (_, i) => ({ key: `lane ${number} ${(n + i) % 1_000}` })))
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, number) => lane(number)))
  const { unsettled } = await countEvents(db)
  const depths = await readDepths(directRedis, 'ef', PARTITIONS)
  const inRedis = depths.reduce((sum, { length }) => sum + length, 0)
  say(`a backlog of ${unsettled} events, ${inRedis} of them in Redis`)
  await directRedis.flushall()
  const from = performance.now()
  for (const worker of workers) worker.start()
  const level = async () => {
    await delay(500) // counting a million events takes a while, and should cost the workers little
    return (await countEvents(db)).unsettled === 0
  }
  await until('everything is settled', level, 3_600_000)
  say(`FLUSHALL, workers started: everything settled after ${seconds(from)}`)
}

async function redisAway({ redis, db }: Stack, all: Clients): Promise<void> {
  const mood = values.mood === undefined ? {} : { mood: values.mood }
  all.start({ rate: Number(values.rate), lanes: 20, batch: 20, keysPerLane: 100, ...mood })
  const more = (seconds: number) => {
    const wanted = all.counts.accepted + seconds * Number(values.rate)
    return until('more is accepted', () => all.counts.accepted >= wanted, 60_000)
  }
  await more(5)
  const figures = async () => {
    const { accepted, processed, unsettled } = await countEvents(db)
    return `${accepted} accepted, ${processed} processed, ${unsettled} unsettled, ${all.counts.notAccepted} requests not accepted`
  }
  say(`with Redis: ${await figures()}`)
  let away = true
  const goneAt = performance.now()
  const back = redis.crash(Number(values.minutes) * 60_000).finally(() => {
    away = false
  })
  while (away) {
    await Promise.race([back, delay(15_000)]) // prints the state from time to time
    say(`${away ? 'without' : 'with'} Redis: ${await figures()}`)
  }
  const from = performance.now()
  without = [goneAt, from]
  await until(
    'every partition reads its stream again',
    async () => {
      const { rows } = await db.query('SELECT FROM partition_marks WHERE dirty > 0')
      return rows.length === 0
    },
    120_000,
  ) // the unsettled count comes first
  say(`Redis is back; every partition reads its stream again after ${seconds(from)}`)
  await more(5)
  say(`with Redis: ${await figures()}`)
  await all.stop()
}

async function diskFull(stack: Stack, all: Clients): Promise<void> {
  const { db } = stack
  const disk = await moveToSmallDisk(stack, 160)
  const figures = async () => {
    const { accepted, processed, unsettled } = await countEvents(db)
    return `${accepted} accepted, ${processed} processed, ${unsettled} unsettled, ${all.counts.notAccepted} requests not accepted`
  }
  const tooMany = () =>
    db.query(`INSERT INTO totals SELECT 'x', repeat('x', 99) || n, 0, 0 FROM generate_series(1, 1e5) AS n`)
  all.start({ rate: Number(values.rate), lanes: 20, batch: 20, keysPerLane: 100 })
  await until('the load is there', () => all.counts.accepted > 5_000, 60_000)
  say(`with room: ${await figures()}`)
  await disk.fill()
  await until('requests are not accepted', () => all.counts.notAccepted > 20, 60_000)
  const code = await tooMany().catch((error) => error.code)
  if (code !== '53100') throw new Error(`the disk is not full: ${code}`)
  say(`the disk is full, an INSERT of ours fails with ${code}: ${await figures()}`)
  await delay(15_000) // how long it is full: finally nothing must be missing
  say(`after 15 s: ${await figures()}`)
  const before = all.counts.accepted
  await disk.free()
  const from = performance.now()
  await until('events are accepted', () => all.counts.accepted > before)
  say(`there is room again; something is accepted after ${seconds(from)}`)
  await all.stop()
  await stack.drained(120_000)
  say(`the load ended, and everything is settled, ${seconds(from)} after there was room: ${await figures()}`)
  await disk.remove()
}
