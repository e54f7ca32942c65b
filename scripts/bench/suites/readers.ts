/** The cost of readers of the log: beside the pipeline at full load, and from far behind. */
import { fileURLToPath } from 'node:url'
import { differences, untilNothingLeft } from '../measure.js'
import type { Stack } from '../stack.js'
import { spreadOf } from '../statistics.js'
import type { Terminal } from '../terminal.js'
import { startEventFlow, startReader } from '../variants/eventflow.js'

/** A turn with some readers. */
interface ReadersTurn {
  readers: string
  /** From the first request until every event is processed. */
  eventsPerSecond: number
  /** The 99th percentile of the requests of 500 events, in milliseconds. */
  requestMs: number
  /** From the first request until the readers that do not sleep have read every event; `null` without readers. */
  levelPerSecond: number | null
  /** Processor time of all processes but the generator, until then, for each event. */
  cpuMicroseconds: number
}

export interface Readers {
  seconds: number
  /** Medians of the rounds. */
  turns: ReadersTurn[]
  /** Readers in processes of their own, which read the log of the last turn without readers from its beginning, alone. */
  behind: Behind[]
}

interface Behind {
  reader: string
  events: number
  eventsPerSecond: number
  cpuMicroseconds: number
}

/** The folder with the definitions of a reader. */
export const readerFolder = (name: string) => fileURLToPath(new URL(`../readers/${name}`, import.meta.url))

const SETUPS = [
  { readers: 'none', events: undefined, level: [] },
  { readers: 'one', events: readerFolder('one'), level: ['one'] },
  { readers: 'a window', events: readerFolder('window'), level: ['window'] },
  { readers: 'a join', events: readerFolder('join'), level: ['join'] },
  { readers: 'five, one of them asleep', events: readerFolder('five'), level: ['one', 'two', 'three', 'four'] },
] as const

const LOAD = { type: 'bench.plain', connections: 8, batch: 500 }

/** Sends batches at full speed, with and without readers, in rounds that alternate. */
export async function measureReaders(
  stack: Stack,
  { seconds, rounds }: { seconds: number; rounds: number },
  { say, now }: Terminal,
): Promise<Readers> {
  const measured: ReadersTurn[] = []
  const behind: Behind[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const setup of SETUPS) {
      now(`${round}/${rounds}  readers: ${setup.readers}`)
      await stack.reset()
      try {
        const turn = await measureTurn(stack, setup, seconds)
        measured.push(turn)
        say(`${round}/${rounds}  readers: ${setup.readers}  ${Math.round(turn.eventsPerSecond)}/s`)
        if (round === rounds && setup.readers === 'none') {
          for (const reader of ['one', 'window', 'join']) behind.push(await measureBehind(stack, reader))
        }
      } finally {
        await stack.stopPrograms()
      }
    }
  }
  const turns = SETUPS.map(({ readers }) => medianOf(measured.filter((turn) => turn.readers === readers)))
  return { seconds, turns, behind }
}

async function measureTurn(
  stack: Stack,
  { readers, events, level }: (typeof SETUPS)[number],
  seconds: number,
): Promise<ReadersTurn> {
  const pipeline = await startEventFlow(stack, LOAD, events === undefined ? {} : { events })
  const warmUp = await pipeline.drive({ seconds: seconds / 4 })
  await pipeline.drained(warmUp.events)
  await untilRead(stack, level)
  const before = stack.cpuSeconds()
  const startedAt = performance.now()
  const elapsed = () => (performance.now() - startedAt) / 1_000
  const load = await pipeline.drive({ seconds })
  await pipeline.drained(warmUp.events + load.events)
  const processed = elapsed()
  await untilRead(stack, level)
  const read = elapsed()
  return {
    readers,
    eventsPerSecond: load.events / processed,
    requestMs: load.latency?.p99 ?? 0,
    levelPerSecond: level.length > 0 ? load.events / read : null,
    cpuMicroseconds: (cpuBetween(stack, before) / load.events) * 1e6,
  }
}

/** Lets a reader read everything that there is, while nothing else runs. */
async function measureBehind(stack: Stack, reader: string): Promise<Behind> {
  await stack.stopPrograms()
  const { rows } = await stack.db.query('SELECT count(*)::int AS events FROM processed_events')
  const { events } = rows[0] as { events: number }
  const before = stack.cpuSeconds()
  const startedAt = performance.now()
  await startReader(stack, readerFolder(reader), reader)
  await untilRead(stack, [reader])
  const seconds = (performance.now() - startedAt) / 1_000
  return {
    reader,
    events,
    eventsPerSecond: events / seconds,
    cpuMicroseconds: (cpuBetween(stack, before) / events) * 1e6,
  }
}

function cpuBetween(stack: Stack, before: ReturnType<Stack['cpuSeconds']>): number {
  const { generator: _, bench: __, ...ours } = differences(stack.cpuSeconds(), before)
  return Object.values(ours).reduce((sum, role) => sum + role, 0)
}

/** Waits until each of these readers has read the log to its end. */
async function untilRead(stack: Stack, readers: readonly string[]): Promise<void> {
  for (const reader of readers) {
    await untilNothingLeft(`reader ${reader}`, 25, async () => {
      const { rows } = await stack.db.query(
        `SELECT count(*)::int AS partitions, sum(greatest(0, last - position))::float8 AS positions
         FROM group_cursors c JOIN consumer_groups g USING (group_id, generation)
         CROSS JOIN LATERAL (SELECT coalesce(max(position), 0) AS last FROM processed_events p
                             WHERE p.partition = c.partition) ends
         WHERE name = $1`,
        [reader],
      )
      return rows[0].partitions === 0 ? 1 : rows[0].positions
    })
  }
}

function medianOf(turns: readonly ReadersTurn[]): ReadersTurn {
  const median = (of: 'eventsPerSecond' | 'requestMs' | 'cpuMicroseconds') =>
    spreadOf(turns.map((turn) => turn[of])).median
  const levels = turns.flatMap(({ levelPerSecond }) => levelPerSecond ?? [])
  return {
    readers: turns[0]!.readers,
    eventsPerSecond: median('eventsPerSecond'),
    requestMs: median('requestMs'),
    levelPerSecond: levels.length > 0 ? spreadOf(levels).median : null,
    cpuMicroseconds: median('cpuMicroseconds'),
  }
}
