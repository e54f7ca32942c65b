/**
 * `process_figures`: what each process has counted since its start, written once a second. Two readings give the
 * rates of the whole pipeline. The table is unlogged: after a crash of Postgres the processes write it again.
 */
import type { Queryable } from '../server/connect.js'

/** What a process tells of itself. */
export interface ProcessFigures {
  /** Its name: of a worker its id. */
  process: string
  service: 'ingest' | 'worker'
  /** Another one after each start: its counts begin at 0 then. */
  run: string
  /** What it has counted since its start, by name. */
  counts: Record<string, number>
  /** How many of its events took as long, by the bounds of the metric: of ingest until the answer, of a worker until the end. */
  latency: { bounds: number[]; counts: number[] }
  /** When it did something the last time, in seconds since 1970; 0 where it has not. */
  lastAt: number
  /** The dependencies that are not as they should be, and how they are. */
  circuits: Record<string, string>
}

/** Figures as they were told. */
export interface ToldFigures extends ProcessFigures {
  /** How long ago, by the database's clock. */
  ageSeconds: number
}

/** What is older than so many seconds is of a process that has ended. */
const FORGOTTEN_AFTER_S = 60

/** Writes down the figures of a process in place of those it told before, and forgets the processes that have ended. */
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
    values: [process, service, run, JSON.stringify(figures), FORGOTTEN_AFTER_S],
  })
}

/** What the processes have told last, in the order of their names. */
export async function readFigures(db: Queryable): Promise<ToldFigures[]> {
  const { rows } = await db.query({
    name: 'read-figures',
    text: `
      SELECT process, service, run, figures, extract(epoch FROM now() - told_at)::float8 AS age
      FROM process_figures WHERE told_at > now() - $1 * interval '1 second' ORDER BY process`,
    values: [FORGOTTEN_AFTER_S],
  })
  return rows.map(({ figures, age, ...row }) => ({ ...row, ...figures, ageSeconds: age }))
}

/** Forgets a process that ends. */
export async function forgetFigures(db: Queryable, process: string): Promise<void> {
  await db.query('DELETE FROM process_figures WHERE process = $1', [process])
}
