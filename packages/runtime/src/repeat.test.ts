/** Repeated steps run one after another until they are stopped, despite errors. */
import { expect, test } from '@jest/globals'
import { repeat } from './repeat.js'

/** Fails the test if a step's error reaches it unexpectedly. */
const onError = (error: unknown) => {
  throw error
}

/** Counts the runs of a step; `begun` resolves when the run with number `last` begins. */
function counting<Result>(last: number, step: (n: number, stopping: AbortSignal) => Promise<Result>) {
  let n = 0
  let reached = () => {}
  const begun = new Promise<void>((resolve) => {
    reached = resolve
  })
  const counted = (stopping: AbortSignal) => {
    if (++n === last) reached()
    return step(n, stopping)
  }
  return { begun, counted, count: () => n }
}

test('the first step runs at once, or after a pause', async () => {
  const { counted, count } = counting(1, async () => {})
  const atOnce = repeat(counted, { pauseMs: 60_000, onError })
  expect(count()).toBe(1)
  await atOnce.stop()
  const afterPause = repeat(counted, { pauseMs: 60_000, pauseFirst: true, onError })
  await afterPause.stop()
  expect(count()).toBe(1)
})

test('no error ends it, whether a step rejects or throws', async () => {
  const errors: unknown[] = []
  const { begun, counted } = counting(3, (n) => {
    if (n === 1) throw new Error('thrown')
    return n === 2 ? Promise.reject(new Error('rejected')) : Promise.resolve()
  })
  const repetition = repeat(counted, { pauseMs: 1, onError: (error) => errors.push(error) })
  await begun
  await repetition.stop()
  expect(errors).toEqual([new Error('thrown'), new Error('rejected')])
})

test('a step may return the pause after it', async () => {
  const { begun, counted } = counting(3, async () => 0)
  const repetition = repeat(counted, { pauseMs: 60_000, onError })
  await begun
  await repetition.stop()
})

test('steps never overlap, and a stop tells the running step and waits for it', async () => {
  let running = 0
  const seen: number[] = []
  let finish = () => {}
  const { begun, counted, count } = counting(3, async (n, stopping) => {
    seen.push(++running)
    if (n === 3) {
      await new Promise<void>((resolve) => {
        finish = resolve
        stopping.addEventListener('abort', () => seen.push(Number.NaN))
      })
    }
    running--
  })
  const repetition = repeat(counted, { pauseMs: 0, onError })
  await begun
  let stopped = false
  const stop = repetition.stop().then(() => {
    stopped = true
  })
  await new Promise(setImmediate)
  expect([stopped, running]).toEqual([false, 1])
  finish()
  await stop
  expect([count(), running]).toEqual([3, 0])
  expect(seen).toEqual([1, 1, 1, Number.NaN])
})
