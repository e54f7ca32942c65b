/** Short scenarios of one fault each, designed so that a certain bug cannot hide. Without a bug, each passes. */
import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { partitionOf } from '@eventflow/core'
import { readDepths } from '@eventflow/redis'
import {
  type Clients,
  checkHistory,
  crashAt,
  createClients,
  createRandom,
  heal,
  INGEST_CRASH_POINTS,
  openJournal,
  PARTITIONS,
  type Program,
  type Stack,
  startStack,
  until,
  type Verdict,
} from '@eventflow/testkit'
import { unsettled, untilOnlyASweepHelps } from './left.js'

interface Stage {
  stack: Stack
  clients: Clients
}

export type Scenario = (stage: Stage) => Promise<void>

/** The parts of a build that a stack runs. */
type Build = Pick<Parameters<typeof startStack>[0], 'definitions' | 'scripts' | 'cacheDir'>

/** Runs scenarios one after the other on one stack, and returns the checker's verdict. */
export async function play(
  scenarios: readonly Scenario[],
  build: Build,
  databaseUrl: string,
  { settings = {}, drainMs = 5_000 }: { settings?: Record<string, string>; drainMs?: number } = {},
): Promise<Verdict> {
  const sign = join(tmpdir(), `eventflow-sweep-${randomUUID()}`)
  const all = { SWEEP_ONCE_THERE_IS: sign, ...settings }
  const stack = await startStack({ ...build, ingests: 1, workers: 2, databaseUrl, settings: all })
  const journalFile = `${stack.dir}/journal.ndjson`
  const journal = openJournal(journalFile)
  const clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
  try {
    await shared(stack)
    for (const scenario of scenarios) await scenario({ stack, clients })
    await heal(stack)
    await untilOnlyASweepHelps(stack.db, stack.directRedis, stack.prefix)
    await writeFile(sign, '')
    await stack.drained(drainMs).catch(() => {}) // the checker reports the rest
    await journal.close()
    return await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix)
  } finally {
    await stack.stop()
    await rm(sign, { force: true })
  }
}

/** A worker dies before the COMMIT of an event. Its successor gets that event before the next of its key. */
export const diesBeforeCommit: Scenario = async ({ stack, clients }) => {
  const key = 'dies before commit'
  const owner = await ownerOf(stack, key)
  await clients.send([{ key, mood: 'slow to settle' }])
  await settling(stack)
  await owner.end('SIGKILL')
  await clients.send([{ key }])
  owner.start()
  await owner.ready()
  await settled(stack, 5_000).catch(() => {}) // the checker finds missing events
}

/** A worker freezes while it processes, for longer than its lease, and resumes when another owns the partition. */
export const frozenWhileProcessing: Scenario = (stage) => frozen(stage, 'slow')

/** The same, frozen in the middle of the settling transaction. */
export const frozenWhileSettling: Scenario = (stage) => frozen(stage, 'slow to settle')

async function frozen({ stack, clients }: Stage, mood: string): Promise<void> {
  const key = `frozen, ${mood}`
  const owner = await ownerOf(stack, key)
  const partition = partitionOf('default', key, PARTITIONS)
  await clients.send([{ key, mood }])
  if (mood === 'slow') await until('it is being processed', async () => (await depths(stack))[partition]!.pending > 0)
  else await settling(stack)
  owner.signal('SIGSTOP')
  await until(
    'another worker has the partition, or the session of the first has ended',
    async () => (await ownerOf(stack, key)) !== owner,
    15_000,
  )
  owner.signal('SIGCONT')
  await settled(stack)
  await shared(stack)
}

/** Redis has lost the streams, and a worker dies as soon as it has recreated one of them; later events are in them. */
export const diesRemakingAStream: Scenario = async ({ stack, clients }) => {
  const keys = Array.from({ length: PARTITIONS }, (_, partition) => ({ key: keyOf(partition) }))
  const [worker] = stack.workers
  await Promise.all(stack.workers.map((each) => each.stop()))
  await clients.send(keys)
  await stack.directRedis.flushall()
  const crash = crashAt({ to: 'redis', text: 'xgroup', at: 'reply' }, worker!, stack)
  worker!.start()
  await crash
  await clients.send(keys)
  await backToWork(stack)
}

/**
 * The service dies between the COMMIT and the XADD. The event is sent again, because there was no answer, and another
 * one after it.
 */
export const ingestDiesBeforeItPublishes: Scenario = async ({ stack, clients }) => {
  const key = 'never published'
  const [ingest] = stack.ingests
  const crash = crashAt(INGEST_CRASH_POINTS['before the XADD reaches Redis'], ingest!, stack)
  const sent = clients.send([{ key }])
  await crash
  ingest!.start()
  await sent
  await clients.send([{ key }])
}

/** Any key of a partition. */
function keyOf(partition: number): string {
  let n = 0
  while (partitionOf('default', `beside ${n}`, PARTITIONS) !== partition) n++
  return `beside ${n}`
}

async function ownerOf(stack: Stack, key: string): Promise<Program> {
  const { rows } = await stack.db.query('SELECT owner FROM partitions WHERE id = $1', [
    partitionOf('default', key, PARTITIONS),
  ])
  return stack.workers.find(({ name }) => name === rows[0].owner) ?? stack.workers[0]!
}

const depths = (stack: Stack) => readDepths(stack.directRedis, stack.prefix, PARTITIONS)

/** Waits until a worker is inside the transaction of an event that is *slow to settle*. */
async function settling({ db }: Stack): Promise<void> {
  await until('it is being settled', async () => {
    const { rows } = await db.query(
      `SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1)' AND datname = current_database()`,
    )
    return rows.length > 0
  })
}

async function settled(stack: Stack, timeoutMs?: number): Promise<void> {
  await until('everything is settled', async () => (await unsettled(stack.db)) === 0, timeoutMs)
}

/** Waits until both workers own their share, and read it from the streams. */
async function shared({ db }: Stack): Promise<void> {
  await until('the partitions are shared', async () => {
    const { rows } = await db.query(`
      SELECT owner FROM partitions JOIN partition_marks USING (id)
      WHERE owner IS NOT NULL AND dirty = 0 AND redis_run_id IS NOT NULL GROUP BY 1 HAVING count(*) = 8`)
    return rows.length === 2
  })
}

async function backToWork(stack: Stack): Promise<void> {
  for (const worker of stack.workers) worker.start()
  await Promise.all(stack.workers.map((worker) => worker.ready()))
  await shared(stack)
}
