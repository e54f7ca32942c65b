/** A part that ends is started again; a stopped one is not. */
import { expect, test } from '@jest/globals'
import { keepRunning, pauseMs } from './keep-running.js'
import type { Voice } from './output.js'
import type { Running } from './program.js'

test('the pauses get longer, up to 30 s', () => {
  expect([1, 2, 3, 4, 5, 6].map(pauseMs)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000])
})

test('it is started again each time it ends', async () => {
  const { start, runs, said, voice } = fake()
  const kept = await keepRunning(start, voice, () => 0)
  runs[0]!.end('signal SIGKILL')
  expect(await kept.failedStart).toBe('signal SIGKILL')
  await said('restarting')
  runs[1]!.end('code 1')
  await said('restarting')
  expect(runs).toHaveLength(3)
  await kept.stop()
})

test('a part that has worked did not fail to start, no matter how it ends', async () => {
  const { start, runs, said, voice } = fake()
  const kept = await keepRunning(
    async () => ({ ...(await start()), hasWorked: () => true }),
    voice,
    () => 0,
  )
  let failed = false
  kept.failedStart.then(() => {
    failed = true
  })
  runs[0]!.end('signal SIGKILL')
  await said('restarting')
  expect(failed).toBe(false)
  await kept.stop()
})

test('a start that fails later is tried again', async () => {
  const { start, runs, said, voice } = fake()
  let failing = false
  const kept = await keepRunning(
    async () => (failing ? Promise.reject(new Error('no room')) : start()),
    voice,
    () => 0,
  )
  failing = true
  runs[0]!.end('code 1')
  await said('ended unexpectedly (no room)')
  failing = false
  await said('restarting')
  await kept.stop()
  expect(runs).toHaveLength(2)
})

test('the first start fails loudly', async () => {
  const { voice } = fake()
  await expect(keepRunning(() => Promise.reject(new Error('no room')), voice)).rejects.toThrow('no room')
})

test('if it is stopped in a pause, it stays stopped', async () => {
  const { start, runs, said, voice } = fake()
  const kept = await keepRunning(start, voice, () => 60_000)
  runs[0]!.end('code 1')
  await said('ended unexpectedly (code 1)')
  await kept.stop()
  expect(runs).toHaveLength(1)
})

/** A program that runs until it is told to end, and its messages: `said` resolves when a text is logged again. */
function fake() {
  const runs: { end: (how: string) => void }[] = []
  const waiting = new Map<string, () => void>()
  const voice: Voice = { say: (message) => waiting.get(message)?.(), pass: () => {} }
  const start = async (): Promise<Running> => {
    let end = (_: string) => {}
    const exited = new Promise<string>((resolve) => {
      end = resolve
    })
    runs.push({ end })
    return { exited, stop: async () => end('code 0'), kill: () => end('signal SIGKILL') }
  }
  const said = (message: string) => new Promise<void>((resolve) => waiting.set(message, resolve))
  return { start, runs, said, voice }
}
