/** A window that reads a long log from its beginning: checks that its rate and its memory stay constant. */
import { setTimeout as delay } from 'node:timers/promises'
import { differences, untilNothingLeft } from '../measure.js'
import type { TwoInserts } from '../programs/two-inserts.js'
import type { ByRole, Stack } from '../stack.js'
import type { Terminal } from '../terminal.js'
import { startPrograms, startReader } from '../variants/eventflow.js'
import { programFile } from '../variants/program-file.js'
import { readerFolder } from './readers.js'
import { lastToFirst, ratesOfParts, type Sample } from './samples.js'

export interface ReaderScale {
  events: number
  /** How long it took to write the log. */
  fillSeconds: number
  /** How long the window read. */
  seconds: number
  eventsPerSecond: number
  /** The rate of each part of the events, in order. */
  parts: { upTo: number; eventsPerSecond: number }[]
  /** The rate of the last million, or of the last tenth of a shorter run, over that of the first. */
  lastToFirst: number
  /** Processor time for each event that was read, by role of the process. */
  cpuMicroseconds: ByRole
  /** The anonymous memory of each process, in bytes, at each number of events. */
  memory: { events: number; byRole: ByRole }[]
  /** What the window has made of them. */
  results: number
  openPanes: number
  lateEvents: number
}

const READER = 'window'
const LANES = 2
const BATCH = 500
const USERS = 10_000
const SAMPLE_MS = 1_000
const PART = 100_000

/**
 * Writes this many events to the log, by the statements of ingest and worker, and lets a worker that does nothing else
 * read them through a window of ten seconds. Many windows close meanwhile, the first ones soon after the beginning.
 */
export async function measureReaderScale(stack: Stack, events: number, terminal: Terminal): Promise<ReaderScale> {
  await stack.reset()
  try {
    const fillSeconds = await fillLog(stack, events, terminal)
    const before = stack.cpuSeconds()
    const samples = await readLog(stack, events, terminal)
    await untilNothingLeft('windows to be closed', 25, () => countDue(stack))
    const { bench: _, ...spent } = differences(stack.cpuSeconds(), before)
    const { seconds } = samples.at(-1)!
    return {
      events,
      fillSeconds,
      seconds,
      eventsPerSecond: events / seconds,
      parts: ratesOfParts(samples, PART),
      lastToFirst: lastToFirst(samples, events),
      cpuMicroseconds: Object.fromEntries(Object.entries(spent).map(([role, used]) => [role, (used / events) * 1e6])),
      memory: samples.map(({ events: upTo, memory }) => ({ events: upTo, byRole: memory })),
      ...(await countOutcomes(stack)),
    }
  } finally {
    await stack.stopPrograms()
  }
}

/** Returns how long it took, in seconds. */
async function fillLog(stack: Stack, events: number, { say, now }: Terminal): Promise<number> {
  // Ingest makes the tables, and their parts ahead of the events.
  await startPrograms(stack, { workers: 0 })
  const plan: TwoInserts = { databaseUrl: stack.databaseUrl, batch: BATCH, lanes: LANES, users: USERS }
  const generator = await stack.start('generator', programFile('two-inserts'), { plan })
  const { seconds } = await generator.order({ events }, (count) =>
    now(`${count.toLocaleString('en')} of ${events.toLocaleString('en')} events written`),
  )
  await stack.stopPrograms()
  now('vacuum')
  await stack.db.query('VACUUM ANALYZE')
  say(`  ${events.toLocaleString('en')} events written in ${Math.round(seconds)} s`)
  return seconds
}

interface MemorySample extends Sample {
  memory: ByRole
}

/** Samples the progress and the memory until everything is read. The time counts from the first event that is read. */
async function readLog(stack: Stack, events: number, { say, now }: Terminal): Promise<MemorySample[]> {
  const url = await startReader(stack, readerFolder(READER), READER)
  const samples: MemorySample[] = []
  const startedAt = performance.now()
  for (let read = 0, said = 0; read < events; await delay(SAMPLE_MS)) {
    read = await countRead(url)
    samples.push({ seconds: (performance.now() - startedAt) / 1_000, events: read, memory: stack.ownMemory() })
    now(`${read.toLocaleString('en')} of ${events.toLocaleString('en')} events read`)
    for (const { upTo, eventsPerSecond } of ratesOfParts(samples, PART).slice(said)) {
      say(`  ${upTo.toLocaleString('en').padStart(10)} events  ${Math.round(eventsPerSecond).toLocaleString('en')}/s`)
      said++
    }
  }
  return samples
}

async function countRead(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^eventflow_group_events_total\{.*outcome="processed".*\} (\d+)$/m.exec(text)?.[1] ?? 0)
}

/** How many panes the watermark has passed. */
async function countDue({ db }: Stack): Promise<number> {
  const { rows } = await db.query(
    `SELECT count(*)::int AS due FROM window_state JOIN group_watermarks USING (group_id, generation, partition, tenant_id)
     WHERE close_at <= watermark`,
  )
  return rows[0].due
}

async function countOutcomes({ db }: Stack): Promise<Pick<ReaderScale, 'results' | 'openPanes' | 'lateEvents'>> {
  const { rows } = await db.query(
    `SELECT (SELECT count(*)::int FROM window_results) AS results, (SELECT count(*)::int FROM window_state) AS "openPanes",
            (SELECT count(*)::int FROM late_events) AS "lateEvents"`,
  )
  return rows[0]
}
