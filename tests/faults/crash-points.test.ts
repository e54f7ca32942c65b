/**
 * Every crash point: the process dies there under light load, restarts, and nothing is lost, duplicated or reordered.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Attempt,
  type BuildCopy,
  type Clients,
  type CrashPoint,
  checkHistory,
  crashAt,
  createClients,
  createDatabase,
  createRandom,
  describeVerdict,
  type Evidence,
  GROUP_CRASH_POINTS,
  INGEST_CRASH_POINTS,
  LEADS_TO_ANOTHER,
  openJournal,
  type Program,
  type Stack,
  startStack,
  until,
  WORKER_CRASH_POINTS,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyOfBuild, places } from './places.js'
import { groupProofs, ingestProofs, workerProofs } from './proofs.js'
import { eventIds, lookInto } from './traffic.js'

let build: BuildCopy
let stack: Stack
let clients: Clients
let unsound = 0
const attempts: Attempt[] = []

beforeAll(async () => {
  build = await copyOfBuild('crash-points')
  // A worker that was killed gets its own partitions again, however slow the machine is.
  const settings = { EVENTFLOW_LEASE_SECONDS: '20' }
  const databaseUrl = await createDatabase()
  stack = await startStack({ ...places, ...build, ingests: 1, workers: 2, databaseUrl, settings })
  const journal = { write: (attempt: Attempt) => void attempts.push(attempt), close: async () => {} }
  clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
}, 60_000)

// A failed run leaves its folder for inspection.
afterAll(async () => {
  await stack.stop({ keep: unsound > 0 })
  await build.remove()
})

const count = (from: string, ...values: unknown[]) => lookInto(stack).count(from, ...values)

/** How long a program may take to come to a point, on a busy machine and after a start, in milliseconds. */
const POINT_MS = 30_000

/** Kills the program at the point; calls `whileDown` with the evidence, and starts it again. */
async function dies(program: Program, point: CrashPoint, whileDown: (evidence: Evidence) => Promise<void>) {
  const { how, ...evidence } = await crashAt(point, program, stack, POINT_MS)
  try {
    expect(how).toBe('SIGKILL')
    await whileDown(evidence)
  } finally {
    program.start()
  }
  return evidence
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
      await dies(ingest!, point, async (evidence) => {
        await ingestProofs(stack)[name as keyof typeof INGEST_CRASH_POINTS](evidence)
      }).finally(() => stack.directRedis.config('SET', 'maxmemory', '0'))
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
      for (const name of names) await dies(worker!, WORKER_CRASH_POINTS[name], workerProofs(stack)[name])
      await worker!.ready()
    })
  },
  60_000,
)

type GroupCrashPoint = keyof typeof GROUP_CRASH_POINTS

/** The next owner of a partition marks what a former one has recorded. */
const EMITTED: readonly GroupCrashPoint[] = [
  'events are emitted, before the XADD reaches Redis',
  'before the mark of the next owner reaches Postgres',
  'the XADD of emitted events is done, its answer on the way',
]
const handled = (Object.keys(GROUP_CRASH_POINTS) as GroupCrashPoint[]).filter((name) => !EMITTED.includes(name))

/** A third of the events lead to others; the group fails a few of the others. */
const FOR_GROUPS: Load = {
  paceMs: 50,
  moodOf(n, i) {
    if (i === 0) return { mood: LEADS_TO_ANOTHER }
    return i === 1 && n % 10 === 0 ? { mood: 'group fails once' } : {}
  },
}

test.each([handled, EMITTED].map((names) => [names.join('; then '), names] as const))(
  'a worker dies with a consumer group: %s',
  async (_, names) => {
    const [worker] = stack.workers
    let unpublished: string[] = []
    await underLoad(async () => {
      for (const name of names) {
        const { request } = await dies(worker!, GROUP_CRASH_POINTS[name], groupProofs(stack)[name])
        if (name === 'events are emitted, before the XADD reaches Redis') unpublished = eventIds(request)
      }
      // Events of the same keys are emitted by the next owner.
      const { rows } = await stack.db.query('SELECT key FROM raw_events WHERE event_id = ANY($1)', [unpublished])
      for (const { key } of rows) await clients.send([{ key, mood: LEADS_TO_ANOTHER }])
      await worker!.ready()
    }, FOR_GROUPS)
    if (names === EMITTED) await expectFirst(unpublished)
  },
  120_000,
)

/** Each of these emitted events took effect before all those of its key that were emitted later. */
async function expectFirst(ids: readonly string[]): Promise<void> {
  const { rows } = await stack.db.query(
    `SELECT first.event_id, count(*)::integer AS later, bool_and(later_effect.at > first_effect.at) AS in_order
     FROM raw_events first JOIN effects first_effect USING (event_id)
     JOIN raw_events later ON later.type = first.type AND later.key = first.key AND later.seq > first.seq
     JOIN effects later_effect ON later_effect.event_id = later.event_id
     WHERE first.event_id = ANY($1) GROUP BY 1`,
    [ids],
  )
  expect(rows).toHaveLength(ids.length)
  expect(rows.every(({ later, in_order }) => later > 0 && in_order)).toBe(true)
}

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

interface Load {
  /** Between two requests of a client, in milliseconds. */
  paceMs: number
  /** The mood of the `i`th event in the `n`th request of a client. */
  moodOf(n: number, i: number): { mood?: string }
}

const LIGHT: Load = { paceMs: 10, moodOf: () => ({}) }

/**
 * Lets three clients send, one request after the other, until `story` has ended; then everything must drain and pass
 * the checker.
 */
async function underLoad(story: () => Promise<void>, { paceMs, moodOf }: Load = LIGHT) {
  unsound++
  await until('every stream is in use', async () => {
    return (await count('partitions JOIN partition_marks USING (id) WHERE dirty > 0 OR redis_run_id IS NULL')) === 0
  })
  let told = false
  const lane = async (number: number) => {
    for (let n = 0; !told; n++) {
      await clients.send([0, 1, 2].map((i) => ({ key: `lane ${number} ${(n + i) % 30}`, ...moodOf(n, i) })))
      await delay(paceMs)
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
