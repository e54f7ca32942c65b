/** `flight.completed`: enriched by look-ups, derived fields, a rule, and a projection. */
import { type AcceptedEvent, defineEvent, derive, lookup, type Static, Type } from '@eventflow/sdk'
import { addToAirportStats, prepareAirportStats } from '../airport-stats.js'
import { prepareAirports } from '../airports.js'
import { greatCircleMiles, type Position } from '../geo.js'
import { distanceProblems } from '../stated-distance.js'

const AirportCode = Type.String({ pattern: '^[A-Z0-9]{3,4}$' })

const Flight = Type.Object({
  date: Type.String({ pattern: '^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}$', description: 'Local time' }),
  delay: Type.Integer({ minimum: -1440, maximum: 10080, description: 'Minutes late on arrival; early is negative' }),
  distance: Type.Integer({ minimum: 1, maximum: 12451, description: 'Statute miles; at most half around the Earth' }),
  origin: AirportCode,
  destination: AirportCode,
})

type FlightEvent = AcceptedEvent<Static<typeof Flight>>
type LocatedFlight = Static<typeof Flight> & { origin_airport: Position; destination_airport: Position }

export default defineEvent({
  type: 'flight.completed',
  description: 'A flight has arrived. Enriched with both airports and the great-circle distance between them.',
  schema: Flight,
  example: { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' },
  key: (flight) => flight.origin,
  enrich: [
    lookup({
      table: 'airports',
      key: 'iata',
      columns: ['name', 'city', 'state', 'latitude', 'longitude'],
      fields: {
        origin_airport: ({ data }: FlightEvent) => data.origin,
        destination_airport: ({ data }: FlightEvent) => data.destination,
      },
    }),
    derive('great_circle', ({ data }: AcceptedEvent<LocatedFlight>) => ({
      great_circle_miles: Math.round(greatCircleMiles(data.origin_airport, data.destination_airport) * 100) / 100,
    })),
  ],
  validate: ({ data }) => distanceProblems(data),
  handleBatch: (flights, tx) =>
    addToAirportStats(
      flights.map(({ tenantId, data: { origin, delay } }) => ({ tenantId, origin, delay })),
      tx,
    ),
  prepare: async (tx) => {
    await prepareAirports(tx)
    await prepareAirportStats(tx)
  },
})
