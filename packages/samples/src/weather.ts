/** The weather of the sample: what is normal in Seattle at each hour of the year, and its events. */
import { type IncomingEvent, uuidOf } from '@eventflow/core'
import { readSample } from './read-sample.js'

/** One row of seattle-weather-hourly-normals.csv: averages of 1981 to 2010 for an hour of the year. */
export interface WeatherNormal {
  /** `2010-01-01T01:00:00`, without a time zone. The year stands for any. */
  date: string
  /** Hectopascal. */
  pressure: number
  /** Degrees Celsius. */
  temperature: number
  /** In a metric unit that the source does not name. */
  wind: number
}

const SOURCE = '/weather/normals'

/** The airport of the city, which is the key of its weather. */
const AIRPORT = 'SEA'

/** The 8,759 hours of a year, in order: the file has none for its first hour. */
export async function readWeatherNormals(): Promise<WeatherNormal[]> {
  const [, ...lines] = (await readSample('seattle-weather-hourly-normals.csv.gz')).trim().split('\n')
  return lines.map((line) => {
    const [date, pressure, temperature, wind] = line.split(',')
    return { date: date!, pressure: Number(pressure), temperature: Number(temperature), wind: Number(wind) }
  })
}

/**
 * One `weather.normal` event for each hour from January to March 2001, the time of the flights, with the same ids every
 * time. Local times are taken for UTC, as those of the flights are.
 */
export async function weatherEvents(): Promise<IncomingEvent[]> {
  const normals = await readWeatherNormals()
  return normals
    .map(({ date, ...normal }) => ({ hour: `2001${date.slice(4)}Z`, ...normal }))
    .filter(({ hour }) => hour < '2001-04')
    .map(({ hour, ...normal }) => ({
      type: 'weather.normal',
      source: SOURCE,
      id: uuidOf('sample', SOURCE, `${AIRPORT} ${hour}`),
      partitionkey: AIRPORT,
      time: hour,
      data: { airport: AIRPORT, hour, ...normal },
    }))
}
