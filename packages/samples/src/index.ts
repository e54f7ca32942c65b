/** The sample data. The sample definitions are in the folder `events`. */
export { type Flight, flightEvents, readFlights } from './flights.js'
export { readWeatherNormals, type WeatherNormal, weatherEvents } from './weather.js'
