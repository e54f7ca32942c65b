/** The airports of the sample: read from airports.csv, and stored in the table that enriches flights. */
import type { Sql } from '@eventflow/sdk'
import { readSample } from './read-sample.js'

export interface Airport {
  /** The IATA code, or the FAA code if there is none. */
  iata: string
  name: string
  /** Unknown for a few. */
  city: string | null
  /** Unknown for a few. */
  state: string | null
  country: string
  /** Degrees, north is positive. */
  latitude: number
  /** Degrees, east is positive. */
  longitude: number
}

/** The 3,376 airports, in the order of the file. */
export async function readAirports(): Promise<Airport[]> {
  const [, ...lines] = (await readSample('airports.csv.gz')).trim().split('\n')
  return lines.map((line) => {
    const [iata, name, city, state, country, latitude, longitude] = csvCells(line)
    return {
      iata: iata!,
      name: name!,
      city: known(city!),
      state: known(state!),
      country: country!,
      latitude: Number(latitude),
      longitude: Number(longitude),
    }
  })
}

/** Creates the table `airports`, and fills it if it is empty. */
export async function prepareAirports(tx: Sql): Promise<void> {
  await tx.query(`CREATE TABLE IF NOT EXISTS airports (
    iata text PRIMARY KEY,
    name text NOT NULL,
    city text,
    state text,
    country text NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL
  )`)
  const [filled] = await tx.query('SELECT FROM airports LIMIT 1')
  if (filled) return
  await tx.query(
    `INSERT INTO airports (iata, name, city, state, country, latitude, longitude)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[])`,
    columnsOf(await readAirports()),
  )
}

function columnsOf(airports: readonly Airport[]): unknown[][] {
  const columns = ['iata', 'name', 'city', 'state', 'country', 'latitude', 'longitude'] as const
  return columns.map((column) => airports.map((airport) => airport[column]))
}

/** The cells of a line: some are quoted, and a quote within one is doubled (RFC 4180). No cell has a line break. */
function csvCells(line: string): string[] {
  const cells = line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)
  return Array.from(cells, ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '')
}

/** The file says `NA` for an unknown city or state. */
function known(text: string): string | null {
  return text === 'NA' ? null : text
}
