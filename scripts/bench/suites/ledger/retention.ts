/** Retention under load: how long the hot statements take with and without parts being emptied and dropped. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Retired, retireParts } from '@eventflow/db'
import type { AcceptSettleFind } from '../../programs/accept-settle-find.js'
import type { Stack } from '../../stack.js'
import { type Percentiles, type Spread, spreadOf } from '../../statistics.js'
import type { Terminal } from '../../terminal.js'
import { programFile } from '../../variants/program-file.js'
import { analyze, migrateNarrow } from './layouts.js'
import { storeSettled } from './stored.js'

/** Latencies of each statement, in milliseconds. `accept` counts from when its batch was due. */
type ByStatement = Record<string, Percentiles>

/** What retention did: how often parts were emptied, could not be, were dropped, and folded into one. */
interface Done {
  emptied: number
  notEmptied: number
  dropped: number
  folded: number
}

/** The results of all rounds. */
export interface RetentionFigures {
  /** Events a second, and events of a batch. */
  rate: number
  batch: number
  /** Duration of each load. */
  seconds: number
  /** Events of each part that is removed. */
  partEvents: number
  rounds: (Done & { without: ByStatement; with: ByStatement })[]
  /** p99 of accept. */
  without: Spread
  with: Spread
}

export interface RetentionOptions {
  rounds: number
  seconds: number
  rate: number
  partEvents: number
}

const BATCH = 20
/** The kept database. */
const KEPT = 'before_retention'
/** Parts that are removed, evenly over the time of the load. */
const OLD_PARTS = 10
/** In the second half of them one event in so many is kept: those parts are emptied but not dropped. */
const KEPT_ONE_IN = 500
/** Days that events are kept. */
const DAYS = 30

/** Alternates the load alone and beside retention, each time on a copy of the same database. */
export async function measureRetention(
  stack: Stack,
  { rounds, seconds, rate, partEvents }: RetentionOptions,
  { say, now }: Terminal,
): Promise<RetentionFigures> {
  now('preparing: parts for retention')
  await stack.reset()
  await fill(stack, partEvents)
  await stack.keep(KEPT)
  const results: RetentionFigures['rounds'] = []
  for (let round = 1; round <= rounds; round++) {
    now(`${round}/${rounds}  without retention`)
    const without = await withLoad(stack, { seconds, rate }, async () => ({}))
    now(`${round}/${rounds}  beside retention`)
    const beside = await withLoad(stack, { seconds, rate }, () => retireAll(stack, seconds))
    results.push({ without: without.latencies, with: beside.latencies, ...beside.done })
    const [quiet, busy] = [without.latencies.accept!, beside.latencies.accept!]
    say(
      `${round}/${rounds}  accept p99 ${quiet.p99.toFixed(1)} ms without retention, ${busy.p99.toFixed(1)} ms with it`,
    )
  }
  const p99 = (of: 'without' | 'with') => spreadOf(results.map((round) => round[of].accept!.p99))
  return { rate, batch: BATCH, seconds, partEvents, rounds: results, without: p99('without'), with: p99('with') }
}

async function fill({ db, databaseUrl, adminUrl }: Stack, partEvents: number): Promise<void> {
  await migrateNarrow(databaseUrl, OLD_PARTS + 2, partEvents)
  await storeSettled(db, OLD_PARTS * partEvents)
  await db.query(
    `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                                errors, component, worker_id, attempts, history, correlation_id, accepted_at)
     SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent', 'Broken', 'is broken', '[]', 'handler',
            'bench', 1, '[]', correlation_id, accepted_at
     FROM ledger_parts JOIN raw_events ON seq >= from_seq AND seq < from_seq + $2 WHERE part > $1 / 2 AND part <= $1`,
    [OLD_PARTS, Math.ceil(partEvents / KEPT_ONE_IN)],
  )
  await analyze(adminUrl)
}

/** Runs the load, after a warm-up, and `beside` at the same time. */
async function withLoad<Result>(
  stack: Stack,
  { seconds, rate }: { seconds: number; rate: number },
  beside: () => Promise<Result>,
): Promise<{ latencies: ByStatement; done: Result }> {
  await stack.reset(KEPT)
  try {
    const plan: AcceptSettleFind = { databaseUrl: stack.databaseUrl, batch: BATCH }
    const generator = await stack.start('generator', programFile('accept-settle-find'), { plan })
    await generator.order({ seconds: seconds / 4, rate })
    const [{ latency, others }, done] = await Promise.all([generator.order({ seconds, rate }), beside()])
    return { latencies: { accept: latency!, ...others }, done }
  } finally {
    await stack.stopPrograms()
  }
}

/** Retires one part after the other, evenly over the time. */
async function retireAll({ db, databaseUrl: url }: Stack, seconds: number): Promise<Done> {
  const count: Done = { emptied: 0, notEmptied: 0, dropped: 0, folded: 0 }
  const told = (retired: Retired) => {
    const notEmptied = retired.what === 'emptied' && retired.outcome !== 'emptied'
    count[notEmptied ? 'notEmptied' : retired.what] += 1
  }
  const startedAt = performance.now()
  for (let part = 1; part <= OLD_PARTS; part++) {
    // Retention removes only archived parts here: so each is due at its time.
    await db.query('UPDATE ledger_parts SET archived_at = now() WHERE part = $1', [part])
    const stopping = new AbortController().signal
    await retireParts({ db, url }, { days: DAYS, archivedOnly: true }, { stopping, told })
    const due = (part * seconds * 1_000) / (OLD_PARTS + 1)
    await delay(Math.max(0, due - (performance.now() - startedAt)))
  }
  return count
}
