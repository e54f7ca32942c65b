/** Short stories of one fault each, told so that a certain bug cannot hide. Without a bug, each ends well. */
import { partitionOf } from '@eventflow/core'
import { GROUP, readDepths, streamKey } from '@eventflow/stream'
import {
  type Clients,
  checkHistory,
  createClients,
  createRandom,
  heal,
  openJournal,
  PARTITIONS,
  type Program,
  type Stack,
  startStack,
  until,
  type Verdict,
} from '@eventflow/testkit'

interface Stage {
  stack: Stack
  clients: Clients
}

export type Scenario = (stage: Stage) => Promise<void>

/** The parts of a build that a stack runs. */
type Build = Pick<Parameters<typeof startStack>[0], 'definitions' | 'scripts' | 'cacheDir'>

/** Plays scenarios one after the other on one stack of its own, and gives the checker's verdict. */
export async function play(
  scenarios: readonly Scenario[],
  build: Build,
  databaseUrl: string,
  { settings = {}, drainMs = 5_000 }: { settings?: Record<string, string>; drainMs?: number } = {},
): Promise<Verdict> {
  const stack = await startStack({ ...build, ingests: 1, workers: 2, databaseUrl, settings })
  const journalFile = `${stack.dir}/journal.ndjson`
  const journal = openJournal(journalFile)
  const clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
  try {
    await shared(stack)
    for (const scenario of scenarios) await scenario({ stack, clients })
    await heal(stack)
    await stack.drained(drainMs).catch(() => {}) // the checker says what is left
    await journal.close()
    return await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix)
  } finally {
    await stack.stop()
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
  await settled(stack)
}

/** Redis forgets everything, with a backlog and more of the same keys to come. */
export const forgetsBacklog: Scenario = async ({ stack, clients }) => {
  const keys = ['forgotten 1', 'forgotten 2', 'forgotten 3'].map((key) => ({ key }))
  await Promise.all(stack.workers.map((worker) => worker.stop()))
  await clients.send(keys)
  await stack.directRedis.flushall()
  await clients.send(keys)
  await backToWork(stack)
}

/** A worker stops in the middle of its work for longer than its lease, and goes on when another has the partition. */
export const frozenWhileProcessing: Scenario = (stage) => frozen(stage, 'slow')

/** The same, stopped in the middle of the transaction that settles. */
export const frozenWhileSettling: Scenario = (stage) => frozen(stage, 'slow to settle')

async function frozen({ stack, clients }: Stage, mood: string): Promise<void> {
  const key = `frozen, ${mood}`
  const owner = await ownerOf(stack, key)
  const partition = partitionOf('default', key, PARTITIONS)
  await clients.send([{ key, mood }])
  if (mood === 'slow') await until('it is in hand', async () => (await depths(stack))[partition]!.pending > 0)
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

/** Redis takes no entry for a moment: what is accepted then comes before what is accepted later. */
export const refusesAnEntry: Scenario = async ({ stack, clients }) => {
  const key = 'refused by Redis'
  await clients.send([{ key }])
  await settled(stack)
  await stack.directRedis.config('SET', 'maxmemory', '1')
  await clients.send([{ key }])
  await stack.directRedis.config('SET', 'maxmemory', '0')
  await clients.send([{ key }])
  await settled(stack)
}

/** An entry of an event comes again, long after it was settled. */
export const deliversTwice: Scenario = async ({ stack, clients }) => {
  const key = 'delivered twice'
  const stream = streamKey(stack.prefix, partitionOf('default', key, PARTITIONS))
  const owner = await ownerOf(stack, key)
  owner.signal('SIGSTOP')
  await clients.send([{ key }])
  const [[, fields]] = (await stack.directRedis.xrevrange(stream, '+', '-', 'COUNT', 1)) as [[string, string[]]]
  owner.signal('SIGCONT')
  await settled(stack)
  await stack.directRedis.xadd(stream, '*', ...fields)
  await until('the entry is gone', async () => (await stack.directRedis.xlen(stream)) === 0)
}

/** Events fail, for a while or for good, with others behind them. */
export const fails: Scenario = async ({ clients }) => {
  const keys = Array.from({ length: 12 }, (_, n) => `fails ${n}`)
  const steps = keys.flatMap((key) => [{ key, mood: 'flaky' }, { key }, { key }])
  await clients.send([...steps, { key: 'fails for good', mood: 'bad' }, { key: 'fails for good' }])
}

/** A worker dies while events wait to be tried again. */
export const diesBeforeRetry: Scenario = async ({ stack, clients }) => {
  const key = 'dies before retry'
  const owner = await ownerOf(stack, key)
  // One after the other: in one entry the second would bring the first along.
  await clients.send([{ key, mood: 'failing' }])
  await clients.send([{ key }])
  await until('it waits', async () => {
    const { rows } = await stack.db.query('SELECT FROM retries')
    return rows.length > 0
  })
  await owner.restart('SIGKILL', 0)
  await owner.ready()
  await until('everything is settled or nothing moves', async () => (await unsettled(stack)) === 0, 5_000).catch(
    () => {},
  )
}

/** The answer to an INSERT is lost: the events are there, and the service does not know. */
export const losesAnswerToInsert: Scenario = async ({ stack, clients }) => {
  stack.links.get('ingest-1 postgres')!.mode = { kind: 'lose answer', text: 'insert-raw-events' }
  await clients.send([{ key: 'answer lost 1' }, { key: 'answer lost 2' }])
}

/** The answer to the COMMIT of failures is lost, and what waits is read again. */
export const losesAnswerToCommit: Scenario = async ({ stack, clients }) => {
  const links = stack.workers.map(({ name }) => stack.links.get(`${name} postgres`)!)
  for (let round = 0; round < 3; round++) {
    for (const link of links) link.mode = { kind: 'lose answer', text: 'COMMIT', after: 'upsert-retries' }
    await clients.send(Array.from({ length: 20 }, (_, n) => ({ key: `commit lost ${round} ${n}`, mood: 'failing' })))
    await until('the answers are lost', () => links.every(({ mode }) => mode.kind === 'pass'))
    await stack.directRedis.client('KILL', 'TYPE', 'normal').catch(() => {})
    await settled(stack)
  }
}

/** Postgres cannot be reached: nothing is answered as accepted that is not there. */
export const cannotStore: Scenario = async ({ stack, clients }) => {
  const link = stack.links.get('ingest-1 postgres')!
  link.mode = { kind: 'refuse' }
  link.reset()
  const before = await givenUp(stack)
  const sent = clients.send([{ key: 'not stored' }])
  // The INSERT and its one repetition are to fail; who is answered at once would not wait for them.
  await until('the service has given it up', async () => (await givenUp(stack)) > before)
  link.mode = { kind: 'pass' }
  await sent
}

/** An event waits for a dependency; meanwhile the partition's watermark moves on, Redis forgets, and the worker dies. */
export const waitsForItsSource: Scenario = async ({ stack, clients }) => {
  const key = 'waits for its source'
  const partition = partitionOf('default', key, PARTITIONS)
  await stack.db.query('INSERT INTO source_away DEFAULT VALUES')
  await clients.send([{ key, mood: 'needs the source' }])
  const { rows } = await stack.db.query('SELECT seq FROM raw_events WHERE key = $1', [key])
  const owner = await ownerOf(stack, key)
  await until('the watermark is just below it', async () => {
    const state = await stack.db.query('SELECT settled_seq FROM partitions WHERE id = $1', [partition])
    return state.rows[0].settled_seq >= rows[0].seq - 1
  })
  // It must not move on. Were it to, it would have by the time it has passed later events of the owner's other partitions.
  const later = await eventsBeside(partition, owner, stack, clients)
  await until('the watermarks of the others have passed', async () => {
    const state = await stack.db.query(
      'SELECT FROM partitions p JOIN raw_events ON partition = p.id WHERE event_id = ANY($1) AND settled_seq >= seq',
      [later],
    )
    return state.rows.length === later.length
  })
  await stack.directRedis.flushall()
  const back = owner.restart('SIGKILL', 0)
  await stack.db.query('DELETE FROM source_away')
  await back
  await owner.ready()
}

/** A worker dies and is back at once. */
export const comesBack: Scenario = async ({ stack, clients }) => {
  const owner = await ownerOf(stack, 'comes back')
  await owner.restart('SIGKILL', 0)
  await owner.ready()
  await clients.send([{ key: 'comes back' }])
  await settled(stack)
}

/** The consumer group is made again by whoever reads first, after entries were added. */
export const groupMadeLate: Scenario = async ({ stack, clients }) => {
  const key = 'group made late'
  await Promise.all(stack.workers.map((worker) => worker.stop()))
  await clients.send([{ key }])
  const stream = streamKey(stack.prefix, partitionOf('default', key, PARTITIONS))
  await stack.directRedis.xgroup('DESTROY', stream, GROUP)
  await backToWork(stack)
}

/** Sends an event to each other partition of the owner; gives their ids. */
async function eventsBeside(partition: number, owner: Program, { db }: Stack, { send }: Clients): Promise<string[]> {
  const { rows } = await db.query('SELECT id FROM partitions WHERE owner = $1 AND id <> $2', [owner.name, partition])
  return send(rows.map(({ id }) => ({ key: keyOf(id) })))
}

/** Some key of a partition. */
function keyOf(partition: number): string {
  let n = 0
  while (partitionOf('default', `beside ${n}`, PARTITIONS) !== partition) n++
  return `beside ${n}`
}

/** Events that the service has given up to store so far. */
async function givenUp({ urls }: Stack): Promise<number> {
  const text = await (await fetch(`${urls[0]}/metrics`)).text()
  const counted = text.matchAll(/^eventflow_events_received_total\{.*outcome="unavailable".*\} (\d+)$/gm)
  return [...counted].reduce((sum, [, count]) => sum + Number(count), 0)
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

async function unsettled({ db }: Stack): Promise<number> {
  const { rows } = await db.query(`
    SELECT count(*)::integer AS unsettled FROM raw_events r
    WHERE NOT EXISTS (SELECT FROM processed_events p WHERE p.event_id = r.event_id)
      AND NOT EXISTS (SELECT FROM failed_events f WHERE f.event_id = r.event_id)`)
  return rows[0].unsettled
}

async function settled(stack: Stack): Promise<void> {
  await until('everything is settled', async () => (await unsettled(stack)) === 0)
}

/** Waits until both workers have their share, and read it from the streams. */
async function shared({ db }: Stack): Promise<void> {
  await until('the partitions are shared', async () => {
    const { rows } = await db.query(
      'SELECT owner FROM partitions WHERE owner IS NOT NULL GROUP BY 1 HAVING count(*) = 8',
    )
    return rows.length === 2
  })
}

async function backToWork(stack: Stack): Promise<void> {
  for (const worker of stack.workers) worker.start()
  await Promise.all(stack.workers.map((worker) => worker.ready()))
  await shared(stack)
}
