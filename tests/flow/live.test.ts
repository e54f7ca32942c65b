/** The live view over HTTP: an event stream with activity, backlog and problems. */
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

/** Fails until it is forgiven, except for the key `good`. */
const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String() }),
  key: (data) => data.key,
  // The delay is drawn from zero to this: it must not end within the test.
  retry: { attempts: 9, baseDelayMs: 86_400_000, maxDelayMs: 86_400_000 },
  async handle({ data }) {
    if (data.key !== 'good') throw new Error(`${data.key} is not to be had`)
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([step])
})

afterAll(() => pipeline.stop())

interface Told {
  event: string
  // biome-ignore lint/suspicious/noExplicitAny: each test inspects the message.
  data: any
}

/** Watches: yields each message, until the service or the viewer ends the stream. */
async function* watch(signal?: AbortSignal): AsyncGenerator<Told> {
  const headers = { accept: 'text/event-stream' }
  const response = await fetch(`${pipeline.url}/v1/live`, { headers, ...(signal && { signal }) })
  expect(response.headers.get('content-type')).toMatch('text/event-stream')
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const parts = text.split('\n\n')
    text = parts.pop()!
    for (const part of parts) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part)!
      yield { event: event!, data: JSON.parse(data!) }
    }
  }
}

/** The first message that satisfies the condition; `act` runs as soon as the watch has begun. */
async function momentWhen(
  what: string,
  is: (moment: Told['data']) => boolean,
  act: () => Promise<unknown> = async () => {},
): Promise<Told['data']> {
  const leaving = new AbortController()
  const timer = setTimeout(() => leaving.abort(new Error(`waited in vain until ${what}`)), 30_000)
  try {
    for await (const { event, data } of watch(leaving.signal)) {
      if (event === 'history') await act()
      else if (is(data)) return data
    }
    throw new Error('the stream has ended')
  } finally {
    clearTimeout(timer)
    leaving.abort()
  }
}

test('before the first worker and event: there is no activity, which is the reported problem', async () => {
  const moment = await momentWhen('it is told', ({ backlog, dead }) => backlog !== null && dead !== null)
  expect(moment).toMatchObject({ empty: true, backlog: 0, dead: 0, workers: [], rates: { in: 0, out: 0, p50: null } })
  expect(moment.troubles[0].text).toMatch(/^No worker is running/)
})

test('events are seen to arrive and be settled, and by which worker', async () => {
  await pipeline.startWorker('worker-a')
  await momentWhen('all is well', ({ troubles, workers }) => troubles.length === 0 && workers.length === 1)
  const moment = await momentWhen(
    'they are through',
    ({ rates }) => rates.out > 0,
    () => pipeline.send(Array.from({ length: 20 }, () => ({ type: 'step.done', data: { key: 'good' } }))),
  )
  expect(moment).toMatchObject({ empty: false, redisError: null })
  expect(moment.rates.p99).toBeGreaterThanOrEqual(moment.rates.p50)
  expect(moment.workers).toMatchObject([{ id: 'worker-a', alive: true, processed: moment.rates.out }])
  expect(moment.workers[0].partitions).toHaveLength(16)
  expect(moment.partitions).toHaveLength(16)

  // A later viewer is told of it too.
  for await (const { event, data } of watch()) {
    expect(event).toBe('history')
    const out = data.series.indexOf('out') + 1
    expect(data.points.some((point: number[]) => point[out]! > 0)).toBe(true)
    break
  }
})

test('a blocked key is reported in words, and listed with the events behind it', async () => {
  await pipeline.send(['DFW', 'DFW', 'LAS'].map((key) => ({ type: 'step.done', data: { key } })))
  const moment = await momentWhen('it waits', ({ troubles }) => troubles.length === 2)
  expect(moment.troubles.map(({ text }: { text: string }) => text.replace(/partition \d+/, 'partition 7'))).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^Key DFW \(partition 7\) has been blocked for \d+ s: attempt 1 of 9 failed, .*: DFW is not to be had$/,
      ),
    ]),
  )
  expect(moment).toMatchObject({ retrying: 2, backlog: 3 })
  const { items } = (await (await fetch(`${pipeline.url}/v1/waiting`)).json()) as { items: object[] }
  expect(items).toMatchObject([
    { partitionkey: 'DFW', attempts: 1, behind: 1, message: 'DFW is not to be had', component: 'handle' },
    { partitionkey: 'LAS', attempts: 1, behind: 0 },
  ])
})

test('dead letters are reported by type, those of too many types together', async () => {
  // These types are undefined; there are three events of the first two, and one of each other.
  const types = Array.from({ length: 60 }, (_, i) => `made-up.${i}`)
  const sent = [...types, ...types.slice(0, 2), ...types.slice(0, 2)]
  await pipeline.send(sent.map((type) => ({ type, data: {} })))
  const { deadByType, deadOfOtherTypes } = await momentWhen('all are dead', ({ dead }) => dead === sent.length)
  expect(Object.keys(deadByType)).toHaveLength(50)
  expect(deadByType).toMatchObject({ 'made-up.0': 3, 'made-up.1': 3 })
  expect(deadOfOtherTypes).toBe(10)
})

test('without watching, the answer is the latest message', async () => {
  const moment = (await (await fetch(`${pipeline.url}/v1/live`)).json()) as { at: number }
  expect(Date.now() - moment.at).toBeLessThan(10_000)
})

test('a service that stops closes its viewers', async () => {
  const watching = watch()
  await watching.next()
  const closing = pipeline.app.close()
  await until('the stream has ended', async () => (await watching.next()).done)
  await closing
})
