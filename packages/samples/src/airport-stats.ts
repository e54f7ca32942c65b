/**
 * The projection of the sample: for each airport, the number of a tenant's flights that left it, and their average
 * arrival delay.
 */
import type { Sql } from '@eventflow/sdk'
import { addTenant } from './tenant-tables.js'

/** Only integers are added up, so that the average is exact for any order and any batches. */
export async function prepareAirportStats(tx: Sql): Promise<void> {
  await tx.query(`CREATE TABLE IF NOT EXISTS airport_stats (
    tenant_id text NOT NULL,
    airport text NOT NULL,
    flights bigint NOT NULL CHECK (flights > 0),
    delay_minutes bigint NOT NULL,
    average_delay numeric GENERATED ALWAYS AS (round(delay_minutes::numeric / flights, 2)) STORED,
    PRIMARY KEY (tenant_id, airport)
  )`)
  await addTenant('airport_stats', 'airport', tx)
}

export interface CountedFlight {
  tenantId: string
  origin: string
  /** Minutes late on arrival. */
  delay: number
}

/**
 * Adds flights in one statement. Airports are written in the order of the key: two transactions that write the same
 * airports take their locks in the same order and cannot deadlock.
 */
export async function addToAirportStats(flights: readonly CountedFlight[], tx: Sql): Promise<void> {
  await tx.query(
    `INSERT INTO airport_stats AS stats (tenant_id, airport, flights, delay_minutes)
     SELECT tenant_id, airport, count(*), sum(delay)
     FROM unnest($1::text[], $2::text[], $3::int[]) AS flight (tenant_id, airport, delay)
     GROUP BY tenant_id, airport ORDER BY tenant_id, airport
     ON CONFLICT (tenant_id, airport) DO UPDATE SET
       flights = stats.flights + excluded.flights,
       delay_minutes = stats.delay_minutes + excluded.delay_minutes`,
    [flights.map(({ tenantId }) => tenantId), flights.map(({ origin }) => origin), flights.map(({ delay }) => delay)],
  )
}
