/** Events that kill their workers, until they are dead letters: all others beside them are processed. */

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@eventflow/local'
import { redisUrl, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import step from '../deadly-events/deadly-step.js'

const EVENTS = join(import.meta.dirname, '../deadly-events')
const EVENTFLOW = join(import.meta.dirname, '../../../apps/cli/eventflow.js')

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([step])
})

afterEach(() => pipeline.stop())

/** Restarts a worker, as a supervisor would, until an event is dead; returns the last line of each that ended. */
async function endsUntilDead(settings: Record<string, string>): Promise<string[]> {
  const isDead = async () => (await failed()).length > 0
  const ends: string[] = []
  while (!(await isDead())) {
    const worker = await pipeline.startWorkerProcess('a', EVENTS, settings).catch((error: Error) => error)
    // It met the event before it could report that it works.
    if (worker instanceof Error) {
      expect(worker.message).toContain('(signal SIGKILL)')
      ends.push(worker.message.split('\n').at(-1)!)
      continue
    }
    let ended = false
    void worker.exited.then(() => {
      ended = true
    })
    await until('it ends, or the event is dead', async () => ended || (await isDead()))
    if (!ended) break
    expect(await worker.exited).toBe('signal SIGKILL')
    ends.push(worker.lines.at(-1)!)
  }
  return ends
}

const failed = async () => (await pipeline.db.query('SELECT error_class, message FROM failed_events')).rows
const effects = async () => (await pipeline.db.query('SELECT n FROM deadly_effects ORDER BY n')).rows.map(({ n }) => n)

test('an event that spins is dead after its worker ended itself, each time with a line that says where', async () => {
  const data = [...Array(20).keys()].map((n) => ({ n, ...(n === 7 && { mood: 'spin' }) }))
  await pipeline.send(data.map((one) => ({ type: 'deadly.step', partitionkey: 'k', data: one })))
  const ends = await endsUntilDead({ EVENTFLOW_STALLED_LOOP_SECONDS: '2' })
  expect(await failed()).toEqual([
    {
      error_class: 'Poison',
      message: expect.stringMatching(
        /^its worker crashed or lost its lease 3 times while it processed only this event: /,
      ),
    },
  ])
  // Twice before the events are suspects, once with a few of them, three times while it was alone.
  expect(ends).toHaveLength(6)
  for (const line of ends) {
    expect(JSON.parse(line)).toMatchObject({
      level: 'fatal',
      worker_id: 'a',
      msg: expect.stringMatching(
        /^exiting: the event loop was blocked for 2 s by spinForEver \(.*deadly-step\.js:\d+:\d+\)$/,
      ),
    })
  }
  await pipeline.drained()
  expect(await effects()).toEqual(data.map(({ n }) => n).filter((n) => n !== 7))
}, 180_000)

test('an event that kills only when it is tried again, from a stream that is in use, is dead as soon', async () => {
  const worker = await pipeline.startWorker()
  await pipeline.send([{ type: 'deadly.step', partitionkey: 'k', data: { n: 0 } }])
  const inUse = `SELECT FROM partitions JOIN raw_events ON partition = id WHERE redis_run_id IS NOT NULL`
  await until('its stream is in use', async () => (await pipeline.db.query(inUse)).rows.length > 0)
  await pipeline.drained()
  await worker.stop()
  await pipeline.send([
    { type: 'deadly.step', partitionkey: 'k', data: { n: 1, mood: 'kill' } },
    { type: 'deadly.step', partitionkey: 'k', data: { n: 2 } },
  ])
  // As if its first attempt had failed.
  await pipeline.db.query(`
    INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
    SELECT tenant_id, event_id, seq, partition, 1, now() FROM raw_events WHERE payload->>'n' = '1'`)
  expect(await endsUntilDead({})).toHaveLength(6)
  expect(await failed()).toMatchObject([{ error_class: 'Poison' }])
  await pipeline.drained()
  expect(await effects()).toEqual([0, 2])
}, 180_000)

test('under `eventflow up` workers that an event kills are started again, also while it starts, until the event is dead', async () => {
  // Accepted before: the first worker that is ready meets them.
  const data = [...Array(20).keys()].map((n) => ({ n, ...(n === 7 && { mood: 'kill' }) }))
  await pipeline.send(data.map((one) => ({ type: 'deadly.step', partitionkey: 'k', data: one })))
  const dataDir = await mkdtemp(join(tmpdir(), 'eventflow-deadly-'))
  const port = (await freePort(0))!
  const ports = ['--port', `${port}`, '--metrics-port', `${await freePort(0)}`]
  const args = ['up', ...ports, '--workers', '1', '--data-dir', dataDir, '--events', EVENTS]
  const run = spawn(process.execPath, [EVENTFLOW, ...args], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: pipeline.databaseUrl,
      REDIS_URL: redisUrl(),
      EVENTFLOW_STREAM_PREFIX: pipeline.prefix,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [run.stdout, run.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk
    })
  }
  const ended = new Promise((resolve) => run.once('exit', resolve))
  try {
    await pipeline.drained(120_000)
    expect(await effects()).toEqual(data.map(({ n }) => n).filter((n) => n !== 7))
    expect(await failed()).toMatchObject([{ error_class: 'Poison' }])
    expect(text.match(/ended unexpectedly \(signal SIGKILL\)/g)).toHaveLength(6)
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
  } finally {
    run.kill('SIGTERM')
    await ended
    await rm(dataDir, { recursive: true, force: true })
  }
}, 180_000)
