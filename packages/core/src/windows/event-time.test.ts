/** How a definition's event time is read. */
import { expect, test } from '@jest/globals'
import { readEventTime } from './event-time.js'

test('reads what is written, with the defaults', () => {
  expect(readEventTime()).toEqual({ outOfOrderness: 0n, idle: 30_000_000n })
  expect(readEventTime({ outOfOrderness: '5s' })).toEqual({ outOfOrderness: 5_000_000n, idle: 30_000_000n })
  expect(readEventTime({ idle: '1m' })).toEqual({ outOfOrderness: 0n, idle: 60_000_000n })
  expect(readEventTime({ outOfOrderness: '0s', idle: 'never' })).toEqual({ outOfOrderness: 0n, idle: undefined })
})

test('names what is no duration', () => {
  expect(() => readEventTime({ outOfOrderness: '5' })).toThrow('time.outOfOrderness: must be a duration such as')
  expect(() => readEventTime({ idle: '0s' })).toThrow("time.idle: must be longer than 0, not '0s'")
})
