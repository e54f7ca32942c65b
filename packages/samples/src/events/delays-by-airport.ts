/** A window: the flights of each airport in five minutes of event time, and how late they were. */
import { type AcceptedEvent, avg, count, defineWindow, sum, tumbling } from '@eventflow/sdk'

type Flight = AcceptedEvent<{ delay: number }>

export default defineWindow({
  name: 'delays-by-airport',
  description: 'The flights that left an airport in five minutes, with the sum and the average of their delays.',
  on: ['flight.completed'],
  from: 'earliest',
  window: tumbling('5m'),
  // The flights are history, sent in the order of time: a day is ample. That no flight was sent for a while says nothing
  // about the year 2001, so only later flights close windows.
  time: { outOfOrderness: '1d', idle: 'never' },
  aggregate: {
    flights: count(),
    delay: sum(({ data }: Flight) => data.delay),
    average_delay: avg(({ data }: Flight) => data.delay),
  },
})
