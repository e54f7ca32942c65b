/**
 * `process_figures`: what each process has counted since its start, written once a second. Two readings give the
 * rates of the whole pipeline. The table is unlogged: after a crash of Postgres the processes write it again.
 */
import type { Queryable } from '../server/connect.js'
import { LEDGER_VERSION } from '../server/to-parts.js'

/** The figures that a process publishes. */
export interface ProcessFigures {
  /** Its name; for a worker, its id. */
  process: string
  service: 'ingest' | 'worker'
  /** Different after each start: the counters begin at 0 then. */
  run: string
  /** Its counters since its start, by name. */
  counts: Record<string, number>
  /**
   * A histogram of its latencies with the buckets of the metric: for ingest until the answer, for a worker from
   * acceptance to settled.
   */
  latency: { bounds: number[]; counts: number[] }
  /** When it last did something, in seconds since 1970; 0 if never. */
  lastAt: number
  /** The circuits that are not closed, with their states. */
  circuits: Record<string, string>
}

/** Published figures. */
export interface ToldFigures extends ProcessFigures {
  /** Their age, by the database's clock. */
  ageSeconds: number
}

/** Figures older than this many seconds belong to a process that has ended. */
const FORGOTTEN_AFTER_S = 60

/** Replaces the figures of a process, and removes those of processes that have ended. */
export async function tellFigures(db: Queryable, { process, service, run, ...figures }: ProcessFigures): Promise<void> {
  await db.query({
    name: 'tell-figures',
    text: `
      WITH forgotten AS (
        DELETE FROM process_figures WHERE process IN (
          SELECT process FROM process_figures WHERE told_at < now() - $5 * interval '1 second' AND process <> $1
          ORDER BY process FOR UPDATE SKIP LOCKED))
      INSERT INTO process_figures (process, service, run, figures) VALUES ($1, $2, $3, $4)
      ON CONFLICT (process) DO UPDATE
      SET service = excluded.service, run = excluded.run, figures = excluded.figures, told_at = now()`,
    values: [process, service, run, JSON.stringify({ ...figures, ledger: LEDGER_VERSION }), FORGOTTEN_AFTER_S],
  })
}

/** Resolves with the latest figures of all processes, in the order of their names. */
export async function readFigures(db: Queryable): Promise<ToldFigures[]> {
  const { rows } = await db.query({
    name: 'read-figures',
    text: `
      SELECT process, service, run, figures, extract(epoch FROM now() - told_at)::float8 AS age
      FROM process_figures WHERE told_at > now() - $1 * interval '1 second' ORDER BY process`,
    values: [FORGOTTEN_AFTER_S],
  })
  return rows.map(({ figures: { ledger: _, ...figures }, age, ...row }) => ({ ...row, ...figures, ageSeconds: age }))
}

/** Removes the figures of a process that ends. */
export async function forgetFigures(db: Queryable, process: string): Promise<void> {
  await db.query('DELETE FROM process_figures WHERE process = $1', [process])
}
