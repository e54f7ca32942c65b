/**
 * Every crash point: the process dies there under light load, restarts, and nothing is lost, duplicated or reordered.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { CONSUMER_GROUP } from '@eventflow/core'
import { streamKey } from '@eventflow/redis'
import {
  type Attempt,
  type BuildCopy,
  type Clients,
  checkHistory,
  crashAt,
  createClients,
  createDatabase,
  createRandom,
  describeVerdict,
  type Evidence,
  INGEST_CRASH_POINTS,
  openJournal,
  PARTITIONS,
  type Stack,
  startStack,
  until,
  WORKER_CRASH_POINTS,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyOfBuild, places } from './places.js'

let build: BuildCopy
let stack: Stack
let clients: Clients
let unsound = 0
const attempts: Attempt[] = []

beforeAll(async () => {
  build = await copyOfBuild('crash-points')
  stack = await startStack({ ...places, ...build, ingests: 1, workers: 2, databaseUrl: await createDatabase() })
  const journal = { write: (attempt: Attempt) => void attempts.push(attempt), close: async () => {} }
  clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
}, 60_000)

// A failed run leaves its folder for inspection.
afterAll(async () => {
  await stack.stop({ keep: unsound > 0 })
  await build.remove()
})

/** Evidence, while the process is down, that it died at the intended point. */
type Proof = (evidence: Evidence) => Promise<void>

const ingestProofs: Record<keyof typeof INGEST_CRASH_POINTS, Proof> = {
  'before the INSERT reaches Postgres': async ({ request }) => {
    expect(uuids(request).length).toBeGreaterThan(0)
    expect(await rowsIn('raw_events', uuids(request))).toBe(0)
  },
  'the INSERT is committed, its answer on the way': async ({ request }) => {
    expect(uuids(request).length).toBeGreaterThan(0)
    expect(await rowsIn('raw_events', uuids(request))).toBe(uuids(request).length)
  },
  'before the XADD reaches Redis': async ({ request }) => {
    const published = eventIds(request)
    expect(await rowsIn('raw_events', published)).toBe(published.length)
    expect((await inStreams()).events.filter((id) => published.includes(id))).toEqual([])
    expect(await rowsIn('processed_events', published)).toBe(0)
  },
  'the XADD is done, its answer on the way': async ({ request }) => {
    const published = eventIds(request)
    expect(published.length).toBeGreaterThan(0)
    const { events } = await inStreams()
    const settled = published.filter((id) => !events.includes(id)) // by a worker, meanwhile
    expect(await rowsIn('processed_events', settled)).toBe(settled.length)
  },
  'before the mark reaches Postgres': async () => {
    expect(await count('raw_events r WHERE NOT EXISTS (SELECT FROM processed_events p WHERE p.seq = r.seq)')).not.toBe(
      0,
    )
    expect(await count('partition_marks WHERE dirty > 0')).toBe(0)
  },
}

const workerProofs: Record<keyof typeof WORKER_CRASH_POINTS, Proof> = {
  'entries are delivered, and on the way': async ({ reply }) => {
    expect(eventIds(reply).length).toBeGreaterThan(0)
    expect(await rowsIn('processed_events', eventIds(reply))).toBe(0)
    // The reply has the pending entries of every stream, without the names of the streams.
    expect((await inStreams()).entries.map(idOf)).toEqual(expect.arrayContaining(entriesIn(reply).map(idOf)))
  },
  'entries in hand, before the BEGIN': async () => {
    expect((await inHand()).length).toBeGreaterThan(0)
  },
  'inside the transaction, after the INSERT': async ({ request }) => {
    expect(uuids(request).length).toBeGreaterThan(0)
    expect(await rowsIn('processed_events', uuids(request))).toBe(0)
  },
  'before the COMMIT reaches Postgres': async ({ request }) => {
    expect(uuids(request).length).toBeGreaterThan(0)
    expect(await rowsIn('processed_events', uuids(request))).toBe(0)
  },
  'committed, the answer on the way': async ({ request }) => {
    expect(await rowsIn('processed_events', uuids(request))).toBeGreaterThan(0)
    expect((await inHand()).length).toBeGreaterThan(0)
  },
  'before the acknowledgement reaches Redis': async ({ request }) => {
    expect(entriesIn(request).length).toBeGreaterThan(0)
    expect((await inStreams()).entries).toEqual(expect.arrayContaining(entriesIn(request)))
  },
  'acknowledged, the answer on the way': async ({ request }) => {
    const acknowledged = entriesIn(request)
    expect(acknowledged.length).toBeGreaterThan(0)
    expect((await inStreams()).entries.filter((id) => acknowledged.includes(id))).toEqual([])
  },
  'entries are claimed, and on the way': async ({ request, reply }) => {
    // The connection also carries the traffic of other lanes: not every named entry was claimed.
    const named = entriesIn(request + reply).map(idOf)
    const again = (await inHand()).filter(({ times }) => times > 1).map(({ entry }) => idOf(entry))
    expect(again.filter((id) => named.includes(id))).not.toEqual([])
  },
  'a suspect is recorded': async ({ request }) => {
    const [id] = uuids(request)
    expect(await count('retries WHERE event_id = $1 AND crashes > 0', id)).toBe(1)
  },
}

test.each(Object.entries(INGEST_CRASH_POINTS))(
  'ingest dies: %s',
  async (name, point) => {
    const [ingest] = stack.ingests
    if (point.text === 'mark-dirty') {
      await until('no mark is there', async () => (await count('partition_marks WHERE dirty > 0')) === 0)
      await stack.directRedis.config('SET', 'maxmemory', '1')
    }
    await underLoad(async () => {
      const { how, ...evidence } = await crashAt(point, ingest!, stack)
      try {
        expect(how).toBe('SIGKILL')
        await ingestProofs[name as keyof typeof ingestProofs](evidence)
      } finally {
        await stack.directRedis.config('SET', 'maxmemory', '0')
        ingest!.start()
      }
      await ingest!.ready()
    })
  },
  60_000,
)

type WorkerCrashPoint = keyof typeof WORKER_CRASH_POINTS

/** A claimed entry was delivered to a worker that died; a suspect was delivered to two. So these follow each other. */
const SUSPECTED: readonly WorkerCrashPoint[] = [
  'entries are delivered, and on the way',
  'entries are claimed, and on the way',
  'a suspect is recorded',
]
const others = (Object.keys(WORKER_CRASH_POINTS) as WorkerCrashPoint[]).filter((name) => !SUSPECTED.includes(name))
const deaths = [...others.map((name) => [name]), SUSPECTED]

test.each(deaths.map((names) => [names.join('; then '), names] as const))(
  'a worker dies: %s',
  async (_, names) => {
    const [worker] = stack.workers
    await underLoad(async () => {
      for (const name of names) {
        const { how, ...evidence } = await crashAt(WORKER_CRASH_POINTS[name], worker!, stack)
        try {
          expect(how).toBe('SIGKILL')
          await workerProofs[name](evidence)
        } finally {
          worker!.start()
        }
      }
      await worker!.ready()
    })
  },
  60_000,
)

test.each(['ingest', 'worker'])(
  'a start survives a connection that is cut while the %s reads the schemas',
  async (kind) => {
    const program = kind === 'ingest' ? stack.ingests[0]! : stack.workers[0]!
    const link = stack.links.get(`${program.name} postgres`)!
    const surprises = [...program.surprises]
    await program.end('SIGTERM')
    link.mode = { kind: 'lose answer', text: 'read-new-schemas' }
    program.start()
    await until('an answer is lost', () => link.mode.kind === 'pass')
    await program.ready()
    expect(program.surprises).toEqual(surprises)
  },
  60_000,
)

/**
 * Lets three clients send, one request after the other, until `story` has ended; then everything must drain and pass
 * the checker.
 */
async function underLoad(story: () => Promise<void>): Promise<void> {
  unsound++
  await until('every stream is in use', async () => {
    return (await count('partitions JOIN partition_marks USING (id) WHERE dirty > 0 OR redis_run_id IS NULL')) === 0
  })
  let told = false
  const lane = async (number: number) => {
    for (let n = 0; !told; n++) {
      await clients.send([0, 1, 2].map((i) => ({ key: `lane ${number} ${(n + i) % 30}` })))
      await delay(10) // the pace of a light load
    }
  }
  const lanes = Promise.all([1, 2, 3].map(lane))
  await story().finally(() => {
    told = true
  })
  await lanes
  await stack.drained()
  const journalFile = `${stack.dir}/journal.ndjson`
  const journal = openJournal(journalFile)
  for (const attempt of attempts) journal.write(attempt)
  await journal.close()
  const verdict = await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix)
  if (verdict.violations.length > 0) throw new Error(describeVerdict(verdict))
  expect([...stack.ingests, ...stack.workers].flatMap(({ surprises }) => surprises)).toEqual([])
  unsound--
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const all = (pattern: string, text: string) => [...new Set([...text.matchAll(new RegExp(pattern, 'g'))].map(last))]
const last = (match: RegExpMatchArray) => match.at(-1)!
const uuids = (text: string) => all(UUID, text)
const eventIds = (text: string) => all(`"id":"(${UUID})"`, text)

/**
 * The entries named by a command to Redis or its reply, each with its stream before its id: two streams may have the
 * same id.
 */
function entriesIn(text: string): string[] {
  let stream: string | undefined
  return [...text.matchAll(/(\S+:events)\r|(\d{13}-\d+)\r/g)].flatMap(([, key, id]) => {
    stream = key ?? stream
    return id ? [`${stream} ${id}`] : []
  })
}

const idOf = (entry: string) => entry.split(' ')[1]!

async function count(from: string, ...values: unknown[]): Promise<number> {
  return (await stack.db.query(`SELECT count(*)::integer AS count FROM ${from}`, values)).rows[0].count
}

const rowsIn = (table: string, ids: readonly string[]) => count(`${table} WHERE event_id = ANY($1)`, ids)

async function eachStream<Found>(look: (key: string) => Promise<Found[]>): Promise<Found[]> {
  const keys = Array.from({ length: PARTITIONS }, (_, partition) => streamKey(stack.prefix, partition))
  return (await Promise.all(keys.map(look))).flat()
}

async function inStreams(): Promise<{ entries: string[]; events: string[] }> {
  const found = await eachStream(async (key) =>
    (await stack.directRedis.xrange(key, '-', '+')).map(([id, fields]) => ({ entry: `${key} ${id}`, fields })),
  )
  return { entries: found.map(({ entry }) => entry), events: found.flatMap(({ fields }) => eventIds(fields.join())) }
}

/** The entries delivered to the first worker's lanes and not acknowledged, and how often each was delivered. */
async function inHand(): Promise<{ entry: string; times: number }[]> {
  const { name } = stack.workers[0]!
  return eachStream(async (key) => {
    const pending = await stack.directRedis.xpending(key, CONSUMER_GROUP, '-', '+', 10_000)
    return (pending as [string, string, number, number][])
      .filter(([, consumer]) => consumer.startsWith(`${name}:`))
      .map(([id, , , times]) => ({ entry: `${key} ${id}`, times }))
  })
}
