/** The sample data, for whoever wants to send it. The sample definitions are in the folder `events`. */
export { type Flight, flightEvents, readFlights } from './flights.js'
