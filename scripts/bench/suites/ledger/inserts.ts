/** Both INSERTs of an event, alone: their rate, processor time, WAL and bytes, with each layout of the ledger. */
import { type Measurement, measure, type Times, type Variant } from '../../measure.js'
import type { TwoInserts } from '../../programs/two-inserts.js'
import type { Stack } from '../../stack.js'
import { type Spread, spreadOf } from '../../statistics.js'
import type { Terminal } from '../../terminal.js'
import { driveAll } from '../../variants/limits.js'
import { programFile } from '../../variants/program-file.js'
import { LAYOUT_NAMES, type LayoutName } from './layouts.js'

/** The loads, each from two connections. */
const LOADS = [
  { name: 'batches of 500', batch: 500, randomIds: false },
  { name: 'batches of 20', batch: 20, randomIds: false },
  { name: 'batches of 500, random ids', batch: 500, randomIds: true },
] as const

type Load = (typeof LOADS)[number]

/** The name of a load. */
export type LoadName = Load['name']

/** Processes that insert, each over one connection. */
const INSERTERS = 2

/** The figures of a round. */
export interface InsertsRound {
  events: number
  eventsPerSecond: number
  /** Processor time of Postgres, for each event. */
  postgresMicroseconds: number
  /** Of each event. WAL includes the images of pages that are written for the first time after a checkpoint. */
  walBytes: number
  tableBytes: number
  indexBytes: number
  /** The share of the machine, from 0 to 1, used by other processes. */
  takenByOthers: number
}

type Figure = Exclude<keyof InsertsRound, 'events' | 'takenByOthers'>
const FIGURES: readonly Figure[] = [
  ...(['eventsPerSecond', 'postgresMicroseconds', 'walBytes', 'tableBytes', 'indexBytes'] as const),
]

/** A load on a layout. */
export interface Inserts extends Record<Figure, Spread> {
  layout: LayoutName
  load: LoadName
  /** To the first layout in the same round. */
  ratio: { eventsPerSecond: Spread; postgresMicroseconds: Spread; walBytes: Spread; bytes: Spread }
  rounds: InsertsRound[]
}

type Plan = Omit<Times, 'onProgress'> & { rounds: number }

/** Measures every load on every layout. The rounds go A B C A B C. */
export async function measureInserts(stack: Stack, plan: Plan, { say, now }: Terminal): Promise<Inserts[]> {
  const cases = LOADS.flatMap((load) => LAYOUT_NAMES.map((layout) => ({ load, layout, rounds: [] as InsertsRound[] })))
  for (let round = 1; round <= plan.rounds; round++) {
    for (const { load, layout, rounds } of cases) {
      const name = `${round}/${plan.rounds}  ${load.name}, ${layout}`.padEnd(45)
      const times = { ...plan, onProgress: (what: string) => now(`${name}  ${what}`) }
      rounds.push(await measureRound(stack, { load, layout }, times))
      const { eventsPerSecond, walBytes } = rounds.at(-1)!
      say(
        `${name} ${Math.round(eventsPerSecond).toLocaleString('en').padStart(9)}/s  ${Math.round(walBytes)} bytes of WAL`,
      )
    }
  }
  return cases.map(({ load, layout, rounds }) => {
    const first = cases.find((other) => other.load === load && other.layout === LAYOUT_NAMES[0])!
    return { layout, load: load.name, ...summary(rounds), ratio: ratios(rounds, first.rounds), rounds }
  })
}

async function measureRound(
  stack: Stack,
  { load, layout }: { load: Load; layout: LayoutName },
  times: Times,
): Promise<InsertsRound> {
  let grown: Storage | undefined
  const variant: Variant = {
    ...{ name: layout, group: 'limits', title: layout, promise: 'committed' },
    async start({ databaseUrl, start, db }) {
      const { batch, randomIds } = load
      const plan: TwoInserts = { databaseUrl, batch, lanes: 1, randomIds, beforeParts: layout === 'by_id' }
      const startOne = () => start('generator', programFile('two-inserts'), { plan })
      const generators = await Promise.all(Array.from({ length: INSERTERS }, startOne))
      return {
        async drive(order) {
          const before = await readStorage(db)
          const report = await driveAll(generators, order)
          grown = differenceOf(await readStorage(db), before)
          return report
        },
        drained: async () => {},
      }
    },
  }
  const measurement = await measure({ ...stack, reset: () => stack.reset(layout) }, variant, times)
  return roundOf(measurement, grown!)
}

function roundOf({ events, loadSeconds, cpuSeconds, takenByOthers }: Measurement, grown: Storage): InsertsRound {
  return {
    events,
    eventsPerSecond: events / loadSeconds,
    postgresMicroseconds: (cpuSeconds.postgres! / events) * 1e6,
    walBytes: grown.wal / events,
    tableBytes: grown.tables / events,
    indexBytes: grown.indexes / events,
    takenByOthers,
  }
}

/** In bytes. */
interface Storage {
  wal: number
  tables: number
  indexes: number
}

/** The WAL written since the server was made, and the sizes of the ledger's tables with all parts. */
async function readStorage(db: Stack['db']): Promise<Storage> {
  const { rows } = await db.query(`
    SELECT (pg_current_wal_lsn() - '0/0')::float8 AS wal, sum(pg_table_size(oid))::float8 AS tables,
           sum(pg_indexes_size(oid))::float8 AS indexes
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
      AND relname ~ '^(raw_events|processed_events|event_ids)(_[0-9]+|_kept)?$'`)
  return rows[0]
}

const differenceOf = (after: Storage, before: Storage): Storage => ({
  wal: after.wal - before.wal,
  tables: after.tables - before.tables,
  indexes: after.indexes - before.indexes,
})

const summary = (rounds: readonly InsertsRound[]) =>
  Object.fromEntries(FIGURES.map((figure) => [figure, spreadOf(rounds.map((round) => round[figure]))])) as Record<
    Figure,
    Spread
  >

/** The ratios of the rounds to those of another layout, round by round: disturbances that affect both cancel out. */
function ratios(rounds: readonly InsertsRound[], others: readonly InsertsRound[]): Inserts['ratio'] {
  const of = (read: (round: InsertsRound) => number) =>
    spreadOf(rounds.map((round, n) => read(round) / read(others[n]!)))
  return {
    eventsPerSecond: of((round) => round.eventsPerSecond),
    postgresMicroseconds: of((round) => round.postgresMicroseconds),
    walBytes: of((round) => round.walBytes),
    bytes: of((round) => round.tableBytes + round.indexBytes),
  }
}
