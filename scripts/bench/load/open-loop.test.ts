/** Load at a fixed rate shows the effect of a stall on every event. */
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { Latencies } from '../statistics.js'
import { dueAt, runOpenLoop } from './open-loop.js'

test('events are due at even intervals', () => {
  expect([0, 1, 2, 1_000].map((n) => dueAt(n, 500))).toEqual([0, 2, 4, 2_000])
})

test('a stall counts for every event that was due in it, though only one was sent into it', async () => {
  const stallMs = 500
  const sending = new Latencies()
  let sent = 0
  const report = await runOpenLoop({ seconds: 1, rate: 200 }, 1, async () => {
    const startedAt = performance.now()
    if (++sent === 50) await delay(stallMs) // the measured stall
    sending.record(performance.now() - startedAt)
  })
  expect(report.events).toBe(200)
  // Of 200 events 100 were due in the stall: one in ten waited for at least 80 % of it.
  expect(report.latency!.p95).toBeGreaterThan(0.8 * stallMs)
  // Latencies counted from the sending do not show it.
  expect(sending.percentiles().p95).toBeLessThan(0.1 * stallMs)
})

test('the first error ends it', async () => {
  const failing = async () => Promise.reject(new Error('503'))
  await expect(runOpenLoop({ seconds: 10, rate: 100 }, 4, failing)).rejects.toThrow('503')
})
