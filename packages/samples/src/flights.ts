/** The 20,000 flights of the sample, and their events. */
import { type IncomingEvent, uuidOf } from '@eventflow/core'
import { readSample } from './read-sample.js'

/** One row of flights-20k.json, unchanged. */
export interface Flight {
  /** `2001/01/01 00:47`, without a time zone. */
  date: string
  /** Minutes late on arrival; negative when early. */
  delay: number
  /** Statute miles, as stated by the airline. */
  distance: number
  /** IATA code. */
  origin: string
  /** IATA code. */
  destination: string
}

const SOURCE = '/airline/ops'

/** The flights, in the order of the file, which is by date. */
export async function readFlights(): Promise<Flight[]> {
  return JSON.parse(await readSample('flights-20k.json.gz'))
}

/**
 * One `flight.completed` event for each flight, with the same ids every time, so that sending them again only makes
 * duplicates.
 */
export async function flightEvents(): Promise<IncomingEvent[]> {
  return (await readFlights()).map(flightEvent)
}

/** The event of the flight in row `row` (from 0). Its id is derived from the row's number and content. */
function flightEvent(flight: Flight, row: number): IncomingEvent {
  return {
    type: 'flight.completed',
    source: SOURCE,
    id: uuidOf('sample', SOURCE, `${row} ${JSON.stringify(flight)}`),
    partitionkey: flight.origin,
    time: inUtc(flight.date),
    data: { ...flight },
  }
}

/**
 * Turns `2001/01/01 00:47` into `2001-01-01T00:47:00Z`. The file has local times without a zone: taken for UTC here.
 */
function inUtc(date: string): string {
  return `${date.replaceAll('/', '-').replace(' ', 'T')}:00Z`
}
