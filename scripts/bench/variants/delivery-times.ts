/** The times from acceptance to settlement, by the database's own clock. */
import type pg from 'pg'
import type { Percentiles } from '../statistics.js'

/** In milliseconds, for the events accepted after `since`. */
export async function deliveryTimes(db: pg.Pool, since: Date): Promise<Percentiles> {
  const { rows } = await db.query(
    `SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99, 0.999, 1]) WITHIN GROUP (ORDER BY ms) AS ms
     FROM (SELECT 1000 * extract(epoch FROM processed_at - accepted_at)::float8 AS ms
           FROM processed_events WHERE accepted_at >= $1) AS times`,
    [since],
  )
  const [p50, p95, p99, p999, max] = rows[0].ms
  return { p50, p95, p99, p999, max }
}
