/** A join: each flight from Seattle with the weather that is normal there at its hour. */
import { type AcceptedEvent, defineEvent, defineJoin, type Static, Type } from '@eventflow/sdk'

const AirportCode = Type.String({ pattern: '^[A-Z0-9]{3,4}$' })
const Temperature = Type.Number({ minimum: -90, maximum: 60, description: 'Degrees Celsius' })
const Wind = Type.Number({ minimum: 0, description: 'Mean speed' })

const Weather = Type.Object({
  airport: AirportCode,
  hour: Type.String({ format: 'date-time', description: 'When the hour begins' }),
  pressure: Type.Number({ minimum: 800, maximum: 1100, description: 'Hectopascal' }),
  temperature: Temperature,
  wind: Wind,
})

const weatherNormal = defineEvent({
  type: 'weather.normal',
  description: 'The weather that is normal at an airport in an hour: averages of 1981 to 2010.',
  schema: Weather,
  example: { airport: 'SEA', hour: '2001-01-01T09:00:00Z', pressure: 1017.4, temperature: 3.6, wind: 3.7 },
  key: (weather) => weather.airport,
})

const flightWeather = defineEvent({
  type: 'flight.weather',
  description: 'A flight with the weather that is normal at its origin. The join emits it.',
  schema: Type.Object({
    origin: AirportCode,
    destination: AirportCode,
    delay: Type.Integer({ description: 'Minutes late on arrival' }),
    temperature: Temperature,
    wind: Wind,
  }),
  example: { origin: 'SEA', destination: 'LAS', delay: 66, temperature: 3.6, wind: 3.7 },
  key: (flight) => flight.origin,
})

type Flight = AcceptedEvent<{ origin: string; destination: string; delay: number }>

const flightsWithWeather = defineJoin({
  name: 'flights-with-weather',
  description: 'Each flight with the weather that is normal at its origin in the hour of its time.',
  left: 'weather.normal',
  right: 'flight.completed',
  // Times are whole minutes, so exactly one hour fits a flight.
  within: { before: '0s', after: '59m' },
  maxPerKey: 5_000,
  from: 'earliest',
  // Flights and weather are three months of history, each sent as a whole, in any order: the one waits for the other.
  time: { outOfOrderness: '100d', idle: 'never' },
  select: ({ data: { temperature, wind } }: AcceptedEvent<Static<typeof Weather>>, { data }: Flight) => ({
    ...{ origin: data.origin, destination: data.destination, delay: data.delay },
    ...{ temperature, wind },
  }),
  emit: 'flight.weather',
})

export default [weatherNormal, flightWeather, flightsWithWeather]
