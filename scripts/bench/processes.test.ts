/** Processor time and memory of real processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, expect, test } from '@jest/globals'
import { cpuSecondsOf, machineCpuSeconds, ownMemoryOf, parentOf } from './processes.js'

/** Computes for 300 ms, holds 64 MiB, and has a child that computed for 300 ms and has ended. */
const BUSY = `
  const used = () => process.cpuUsage().user + process.cpuUsage().system
  const compute = () => { for (const end = used() + 3e5; used() < end; ); }
  if (process.argv[1] === 'child') compute()
  else {
    compute()
    globalThis.kept = Buffer.alloc(64 * 2 ** 20, 1)
    require('node:child_process').spawnSync(process.execPath, ['-e', process.env.BUSY, 'child'])
    console.log('ready')
    setInterval(() => {}, 1e6)
  }`

const machineBefore = machineCpuSeconds()
const busy = spawn(process.execPath, ['-e', BUSY], { env: { BUSY }, stdio: ['ignore', 'pipe', 'inherit'] })
afterAll(() => {
  busy.kill('SIGKILL')
})

test('time of ended children counts, and shared memory does not', async () => {
  await once(busy.stdout, 'data')
  const seconds = cpuSecondsOf(busy.pid!)
  expect(seconds).toBeGreaterThan(0.55)
  expect(seconds).toBeLessThan(5)
  expect(machineCpuSeconds() - machineBefore).toBeGreaterThan(0.5)
  expect(ownMemoryOf(busy.pid!)).toBeGreaterThan(64 * 2 ** 20)
  expect(parentOf(busy.pid!)).toBe(process.pid)
})

test('a process that is gone has nothing', () => {
  expect([cpuSecondsOf(2 ** 30), ownMemoryOf(2 ** 30), parentOf(2 ** 30)]).toEqual([0, 0, undefined])
})
