/** A window: the flights of each airport in five minutes of event time, and how late they were. */
import { type AcceptedEvent, avg, count, defineWindow, sum, tumbling } from '@eventflow/sdk'

type Flight = AcceptedEvent<{ delay: number }>

export default defineWindow({
  name: 'delays-by-airport',
  description: 'The flights that left an airport in five minutes, with the sum and the average of their delays.',
  on: ['flight.completed'],
  from: 'earliest',
  window: tumbling('5m'),
  // The flights are history. They are sent in the order of time, but several requests are under way at once; and a
  // pause between two of them says nothing about the year 2001.
  time: { outOfOrderness: '7d', idle: 'never' },
  aggregate: {
    flights: count(),
    delay: sum(({ data }: Flight) => data.delay),
    average_delay: avg(({ data }: Flight) => data.delay),
  },
})
