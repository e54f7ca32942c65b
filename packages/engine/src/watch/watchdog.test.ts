/** How the watchdog judges a partition. */
import { expect, test } from '@jest/globals'
import { judge } from './watchdog.js'

const NOW = { now: 100_000, stalledAfterMs: 30_000 }
const backlog = { unsettled: 5, retrying: 0, oldestUnsettledAgeSeconds: 60 }
const idle = { step: 'looking for events' as const, since: 99_000, lastError: undefined }
const none = { waiting: 0, full: false }

test('without a backlog, or with a recent one, there is no judgement', () => {
  expect(judge(none, { ...backlog, unsettled: 0 }, idle, NOW)).toBeUndefined()
  expect(judge(none, { ...backlog, oldestUnsettledAgeSeconds: 29 }, idle, NOW)).toBeUndefined()
})

test('a batch that does not end is a stall, even if events are blocked', () => {
  const hanging = { ...idle, step: 'settling a batch' as const, since: 60_000 }
  for (const held of [none, { waiting: 3, full: false }, { waiting: 9, full: true }]) {
    expect(judge(held, backlog, hanging, NOW)).toEqual({ kind: 'stalled', why: 'has been settling a batch for 40 s' })
  }
  expect(judge(none, { ...backlog, unsettled: 0, retrying: 1 }, hanging, NOW)).toMatchObject({ kind: 'stalled' })
})

test('events behind a retry are held up, not stalled', () => {
  expect(judge({ waiting: 3, full: false }, backlog, idle, NOW)).toMatchObject({ kind: 'heldUp' })
  const full = judge({ waiting: 10_000, full: true }, backlog, idle, NOW)
  expect(full).toEqual({
    kind: 'heldUp',
    why: '10000 events are blocked behind a retry, as many as may be in memory',
  })
})

test('a backlog without a known reason is a stall, with the most recent error', () => {
  expect(judge(none, backlog, idle, NOW)).toEqual({ kind: 'stalled', why: 'no error is known' })
  expect(judge(none, backlog, { ...idle, lastError: 'out of luck' }, NOW)).toEqual({
    kind: 'stalled',
    why: 'the last error was: out of luck',
  })
})
