/** A database as an earlier version left it: with its tables, and events in every state. */
import {
  applyMigrations,
  connect,
  contract,
  type Db,
  finishExpansion,
  migrate,
  migrationsFor,
  type NewEvent,
  type ProcessFigures,
  tellFigures,
} from '@eventflow/db'
import { newEvent } from './accepted.js'
import {
  insertAsBeforeParts,
  recordWaitingAsBeforeParts,
  retryAsBeforeParts,
  settleAsBeforeParts,
} from './earlier-statements.js'
import { createDatabase } from './services.js'
import { until } from './until.js'

/** Applies the migrations of the version before the tables were in parts. */
export async function migrateAsBeforeParts(url: string, partitions: number): Promise<void> {
  const earlier = Object.entries(migrationsFor({ partitions })).filter(([name]) => name < '0014')
  await applyMigrations(url, Object.fromEntries(earlier))
}

/** The states in which an event can be. */
export const EARLIER_STATES = [
  'accepted',
  'processed',
  'failed',
  'discarded',
  'replaying',
  'retrying',
  'blocked',
] as const
export type EarlierState = (typeof EARLIER_STATES)[number]

/** A stored event of an earlier version. */
export type Former = NewEvent & { seq: number; state: EarlierState }

/** Stores some events in each state with the statements of the version before the tables were in parts. */
export async function storeInEachState(db: Db, each: number): Promise<Former[]> {
  const events = EARLIER_STATES.flatMap((state) =>
    Array.from({ length: each }, (_, n) => ({ ...newEvent({ partition: n % 4 }), state })),
  )
  const seqs = await insertAsBeforeParts(db, events)
  const former = events.map((event, i) => ({ ...event, seq: seqs[i]! }))
  const of = (...states: EarlierState[]) => former.filter(({ state }) => states.includes(state))
  for (let partition = 0; partition < 4; partition++) {
    const inPartition = (events: Former[]) => events.filter((event) => event.partition === partition)
    await settleAsBeforeParts(db, inPartition(of('processed')), { partition, epoch: 0 })
    await recordWaitingAsBeforeParts(db, { partition, epoch: 0 }, inPartition(of('blocked')))
  }
  await retryAsBeforeParts(db, of('retrying'), 2)
  await retryAsBeforeParts(db, of('replaying'), 0)
  for (const [state, status] of [
    ['failed', 'open'],
    ['discarded', 'discarded'],
    ['replaying', 'replaying'],
  ] as const) {
    await db.query(
      `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class,
                                  message, errors, component, worker_id, attempts, history, correlation_id, accepted_at, status)
       SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent', 'Broken', 'is broken', '[]', 'handler',
              'earlier', 1, '[]', correlation_id, accepted_at, $2
       FROM raw_events WHERE event_id = ANY($1)`,
      [of(state).map(({ id }) => id), status],
    )
  }
  return former
}

/** What a process of the present version tells of itself. */
export const PRESENT_FIGURES: ProcessFigures = {
  ...{ process: 'ingest-new', service: 'ingest', run: 'run', lastAt: 0, circuits: {}, counts: {} },
  latency: { bounds: [], counts: [] },
}

/** A database of an earlier version with 12 events in each state, and what converts it. */
export interface EarlierDatabase {
  url: string
  /** The connections of an earlier process. */
  old: Db
  /** The one connection of a present process: its prepared statements are used before and after each step. */
  db: Db
  former: Former[]
  expand(): Promise<void>
  /** Contracts as the only process, which tells its figures as it would every second. */
  contractAlone(): Promise<unknown>
  /** Counts the rows of a table or join. */
  count(what: string): Promise<number>
  /** The ids, the stored events, and the pairs of both: equal if every event has one id, and each id its event. */
  countIds(): Promise<{ ids: number; events: number; pairs: number }>
  end(): Promise<unknown>
}

/** One without events, for the others of a test file to be copied from. */
let empty: Promise<string> | undefined

async function createEmpty(): Promise<string> {
  const url = await createDatabase({ migrated: false })
  await migrateAsBeforeParts(url, 4)
  return url
}

/** Creates a database of an earlier version, in four partitions. */
export async function createEarlierDatabase(): Promise<EarlierDatabase> {
  empty ??= createEmpty()
  const url = await createDatabase({ like: await empty, ledger: false })
  const old = connect({ url, applicationName: 'earlier', max: 2, onIdleError: () => {} })
  const db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
  const former = await storeInEachState(old, 12)
  const count = async (what: string) => Number((await db.query(`SELECT count(*) AS n FROM ${what}`)).rows[0].n)
  return {
    ...{ url, old, db, former, count },
    async expand() {
      await migrate(url, { partitions: 4 })
      await finishExpansion(url)
    },
    contractAlone: () =>
      until('the tables are in parts', async () => {
        await tellFigures(db, PRESENT_FIGURES)
        return contract(url, { partEvents: 1_000, silentSeconds: 1 })
      }),
    countIds: async () => ({
      ids: await count('event_ids'),
      events: await count('raw_events'),
      pairs: await count('event_ids JOIN raw_events USING (tenant_id, event_id, seq, partition)'),
    }),
    end: () => Promise.all([old.end(), db.end()]),
  }
}
