/** The projection of the sample: for each airport how many flights left it, and how late they arrived on average. */
import type { Sql } from '@eventflow/pipeline'

/** Only whole numbers are added up, so that the average is exact whatever the order and the batches. */
export async function prepareAirportStats(tx: Sql): Promise<void> {
  await tx.query(`CREATE TABLE IF NOT EXISTS airport_stats (
    airport text PRIMARY KEY,
    flights bigint NOT NULL CHECK (flights > 0),
    delay_minutes bigint NOT NULL,
    average_delay numeric GENERATED ALWAYS AS (round(delay_minutes::numeric / flights, 2)) STORED
  )`)
}

/**
 * Adds flights in one statement. Airports are written in alphabetical order: two transactions that write the same
 * airports take their locks in the same order and cannot deadlock.
 */
export async function addToAirportStats(flights: readonly { origin: string; delay: number }[], tx: Sql): Promise<void> {
  await tx.query(
    `INSERT INTO airport_stats AS stats (airport, flights, delay_minutes)
     SELECT airport, count(*), sum(delay)
     FROM unnest($1::text[], $2::int[]) AS flight (airport, delay)
     GROUP BY airport ORDER BY airport
     ON CONFLICT (airport) DO UPDATE SET
       flights = stats.flights + excluded.flights,
       delay_minutes = stats.delay_minutes + excluded.delay_minutes`,
    [flights.map(({ origin }) => origin), flights.map(({ delay }) => delay)],
  )
}
