/** A long run: checks that the rate and memory stay constant, partitions are even, and how large the tables get. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ByRole, Stack } from '../stack.js'
import type { Percentiles } from '../statistics.js'
import { deliveryTimes } from '../variants/delivery-times.js'
import { type EventFlow, startEventFlow } from '../variants/eventflow.js'
import { type Distribution, distributionOf } from './distribution.js'
import { lastToFirst, ratesOfParts, type Sample } from './samples.js'

export interface Scale {
  events: number
  users: number
  workers: number
  seconds: number
  eventsPerSecond: number
  /** The rate of each part of the events, in order. */
  parts: { upTo: number; eventsPerSecond: number }[]
  /** The rate of the last million, or of the last tenth of a shorter run, over that of the first. */
  lastToFirst: number
  distribution: Distribution
  delivery: Percentiles
  /** The anonymous memory of each process, in bytes, at each number of events. */
  memory: { events: number; byRole: ByRole }[]
  tables: { table: string; rows: number; tableBytes: number; indexBytes: number }[]
}

export interface ScaleOptions {
  events: number
  say: (line: string) => void
  onProgress: (what: string) => void
}

const USERS = 100_000
const WORKERS = 2
const LOAD = { connections: 8, batch: 500, users: USERS }
/** Entries in all streams, each of about thirty events: while there are more, the load waits. */
const MAX_BACKLOG = 640
const WARM_UP_SECONDS = 4
const LOOK_MS = 50
const SAMPLE_MS = 1_000
const PART = 100_000

/** Sends this many events, keyed by users drawn uniformly. */
export async function measureScale(stack: Stack, { events, say, onProgress }: ScaleOptions): Promise<Scale> {
  await stack.reset()
  try {
    const subject = await startEventFlow(stack, LOAD, { workers: WORKERS, scraped: false })
    onProgress('warming up')
    const warmUp = await subject.drive({ seconds: WARM_UP_SECONDS })
    await subject.drained(warmUp.events)
    const since = new Date()
    const samples: MemorySample[] = []
    let over = false
    const [{ sent, seconds }] = await Promise.all([
      sendAll(subject, events, warmUp.events).finally(() => {
        over = true
      }),
      holdBacklog(subject, () => over),
      takeSamples(stack, subject, samples, () => over, { events, before: warmUp.events, say, onProgress }),
    ])
    samples.push({ seconds, events: sent, memory: stack.ownMemory() })

    onProgress('looking at the tables')
    return {
      events: sent,
      users: USERS,
      workers: WORKERS,
      seconds,
      eventsPerSecond: sent / seconds,
      parts: ratesOfParts(samples, PART),
      // Not until the run is over: that includes counting the tables, which takes seconds when they are large.
      lastToFirst: lastToFirst(samples, sent),
      distribution: distributionOf(await countByPartition(stack), USERS),
      delivery: await deliveryTimes(stack.db, since),
      memory: samples.map(({ events: upTo, memory }) => ({ events: upTo, byRole: memory })),
      tables: await measureTables(stack),
    }
  } finally {
    await stack.stopPrograms()
  }
}

interface MemorySample extends Sample {
  memory: ByRole
}

async function sendAll(subject: EventFlow, events: number, before: number): Promise<{ sent: number; seconds: number }> {
  const startedAt = performance.now()
  const { events: sent } = await subject.drive({ events })
  await subject.drained(before + sent)
  return { sent, seconds: (performance.now() - startedAt) / 1_000 }
}

/** Keeps at most about MAX_BACKLOG entries in the streams. */
async function holdBacklog(subject: EventFlow, isOver: () => boolean): Promise<void> {
  for (let paused = false; !isOver(); await delay(LOOK_MS)) {
    const tooMuch = (await subject.backlog()) > MAX_BACKLOG
    if (tooMuch === paused) continue
    paused = tooMuch
    subject.pause(paused)
  }
}

/** Samples the progress and the memory of each process, and prints the rate of every finished part. */
async function takeSamples(
  stack: Stack,
  { workerUrls }: EventFlow,
  samples: MemorySample[],
  isOver: () => boolean,
  { events, before, say, onProgress }: ScaleOptions & { before: number },
): Promise<void> {
  const startedAt = performance.now()
  for (let said = 0; !isOver(); await delay(SAMPLE_MS)) {
    const processed = (await countProcessed(workerUrls)) - before
    samples.push({ seconds: (performance.now() - startedAt) / 1_000, events: processed, memory: stack.ownMemory() })
    onProgress(`${processed.toLocaleString('en')} of ${events.toLocaleString('en')} events`)
    for (const { upTo, eventsPerSecond } of ratesOfParts(samples, PART).slice(said)) {
      say(`  ${upTo.toLocaleString('en').padStart(10)} events  ${Math.round(eventsPerSecond).toLocaleString('en')}/s`)
      said++
    }
  }
}

/** From the workers' own metrics: counting the table would get more and more expensive. */
async function countProcessed(urls: readonly string[]): Promise<number> {
  const texts = await Promise.all(urls.map(async (url) => (await fetch(`${url}/metrics`)).text()))
  const counts = texts.flatMap((text) => [...text.matchAll(/^eventflow_events_processed_total\{.*\} (\d+)$/gm)])
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}

async function countByPartition({ db }: Stack): Promise<number[]> {
  const { rows } = await db.query(`
    SELECT p.id, count(r.seq)::int AS events FROM partitions p LEFT JOIN raw_events r ON r.partition = p.id
    GROUP BY p.id ORDER BY p.id`)
  return rows.map((row) => row.events)
}

async function measureTables({ db }: Stack): Promise<Scale['tables']> {
  const tables = ['raw_events', 'processed_events', 'event_ids', 'partitions']
  return Promise.all(
    tables.map(async (table) => {
      const { rows } = await db.query(
        `SELECT (SELECT count(*)::int FROM ${table}) AS rows,
                sum(pg_table_size(part))::float8 AS "tableBytes", sum(pg_indexes_size(part))::float8 AS "indexBytes"
         FROM (SELECT coalesce(relid, $1::regclass) AS part
               FROM (SELECT) one LEFT JOIN pg_partition_tree($1) ON isleaf) parts`,
        [table],
      )
      return { table, ...rows[0] }
    }),
  )
}
