/** The metrics agree with what happens to the events, in every process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIngestMetrics, createWorkerMetrics } from '@eventflow/runtime'
import {
  createDatabase,
  type Link,
  openLink,
  post,
  type Server,
  startOwnRedis,
  startPipeline,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

let link: Link
let redis: Server
let pipeline: TestPipeline

beforeAll(async () => {
  const url = await createDatabase()
  link = await openLink(Number(new URL(url).port))
  redis = await startOwnRedis()
  pipeline = await startPipeline([step], {
    DATABASE_URL: url.replace(/:\d+\//, `:${link.port}/`),
    REDIS_URL: redis.url,
    EVENTFLOW_POSTGRES_CAPACITY_BYTES: '1000000000',
  })
})

afterAll(async () => {
  await pipeline.stop()
  await redis.stop()
  await link.stop()
})

/** Series by their name and labels, as text; without the prefix `eventflow_`, the service, and Node's own metrics. */
type Series = Map<string, number>

function parse(text: string): Series {
  const lines = text.split('\n').filter((line) => line.startsWith('eventflow_'))
  return new Map(
    lines.map((line) => {
      const [, name, labels, value] = /^eventflow_(\w+)\{(.*)\} (\S+)$/.exec(line)!
      const others = labels!.split(',').filter((label) => !label.startsWith('service='))
      return [others.length > 0 ? `${name}{${others.join()}}` : name!, Number(value)]
    }),
  )
}

const scrape = async () => {
  const response = await fetch(`${pipeline.url}/metrics`)
  expect(response.status).toBe(200)
  return parse(await response.text())
}
type TestWorker = Awaited<ReturnType<TestPipeline['startWorker']>>
const scrapeWorker = async (worker: TestWorker) => {
  await worker.refreshGauges()
  return parse(await worker.metrics.registry.metrics())
}
const untilScraped = (what: string, is: (series: Series) => boolean) =>
  until(what, async () => {
    const series = await scrape()
    return is(series) && series
  })
const sum = (series: Series, name: string) =>
  [...series].reduce((total, [key, value]) => (key.startsWith(`${name}{`) ? total + value : total), 0)
const named = (series: Series, name: string) =>
  [...series.keys()].filter((key) => key.startsWith(`${name}{`) || key === name)

let sent = 0
const event = (data: object = {}, given: object = {}) => ({
  type: 'fault.step',
  data: { key: `key ${sent++}`, n: 0, ...data },
  ...given,
})

describe('of a worker', () => {
  let worker: TestWorker
  let before: Series
  let after: Series

  beforeAll(async () => {
    worker = await pipeline.startWorker('a')
    before = await scrapeWorker(worker)
    const now = new Date().toISOString()
    const early = new Date(Date.now() - 61_000).toISOString()
    const notLate = new Date(Date.now() - 50_000).toISOString()
    const ahead = new Date(Date.now() + 3_600_000).toISOString()
    await pipeline.send([
      event({ key: 'one' }, { time: now }),
      event({ key: 'one' }, { time: ahead }),
      event({ key: 'one' }, { time: notLate }),
      event({ key: 'one' }, { time: early }),
      event({ mood: 'bad' }),
      event({ mood: 'failing' }),
      { type: 'fault.step', data: { wrong: true } },
      { type: 'undefined.type', data: {} },
    ])
    await pipeline.drained()
    after = await scrapeWorker(worker)
  })

  test('exist from the start, at 0', () => {
    for (const key of [
      'events_processed_total{type="fault.step"}',
      'events_failed_total{type="fault.step",error_class="SchemaError"}',
      'events_failed_total{type="other",error_class="UnknownType"}',
      'retries_total{type="fault.step"}',
      'catch_up_events_total{reason="dirty"}',
      ...['duplicates_total', 'entries_claimed_total', 'late_events_total', 'fenced_writes_total', 'worker_stalled'],
      ...['end_to_end_seconds_count', 'queue_wait_seconds_count', 'settle_size_count'],
    ]) {
      expect({ [key]: before.get(key) }).toEqual({ [key]: 0 })
    }
  })

  test('count processed and failed events with the cause, and the attempts', () => {
    expect(after.get('events_processed_total{type="fault.step"}')).toBe(4)
    expect(after.get('retries_total{type="fault.step"}')).toBe(3)
    expect(sum(after, 'events_failed_total')).toBe(4)
    for (const [type, error_class] of [
      ['fault.step', 'PermanentError'],
      ['fault.step', 'Error'],
      ['fault.step', 'SchemaError'],
      ['other', 'UnknownType'],
    ]) {
      expect(after.get(`events_failed_total{type="${type}",error_class="${error_class}"}`)).toBe(1)
    }
    expect(after.get('late_events_total')).toBe(1)
    expect(after.get('last_processed_timestamp_seconds')).toBeGreaterThan(Date.now() / 1_000 - 60)
  })

  test('time each event once, and its first attempt once', () => {
    expect(after.get('end_to_end_seconds_count')).toBe(8)
    expect(after.get('queue_wait_seconds_count')).toBe(8)
    expect(after.get('queue_wait_seconds_sum')).toBeLessThan(after.get('end_to_end_seconds_sum')!)
    // The attempts are settled too.
    expect(after.get('settle_size_sum')).toBe(8 + 3)
  })

  test('identify it, its partitions, and whether its dependencies answer', () => {
    expect(after.get(`build_info{version="0.1.0",worker_id="a",node_version="${process.versions.node}"}`)).toBe(1)
    expect(named(after, 'catching_up')).toHaveLength(16)
    expect(named(after, 'waiting_events')).toHaveLength(16)
    expect(after.get('dependency_up{dependency="postgres"}')).toBe(1)
    expect(after.get('dependency_up{dependency="redis"}')).toBe(1)
  })

  test('show the events that wait in memory behind a retry', async () => {
    await pipeline.db.query('INSERT INTO source_away DEFAULT VALUES')
    await pipeline.send([event({ key: 'k', mood: 'needs the source' }), event({ key: 'k' }), event({ key: 'k' })])
    await until('all three wait', async () => sum(await scrapeWorker(worker), 'waiting_events') === 3)
    await pipeline.db.query('DELETE FROM source_away')
    await pipeline.drained()
    await until('none waits', async () => sum(await scrapeWorker(worker), 'waiting_events') === 0)
  })

  test('count an event that arrives a second time as a duplicate, and nowhere else', async () => {
    const counted = async () => {
      const series = await scrapeWorker(worker)
      return ['duplicates_total', 'events_processed_total{type="fault.step"}', 'end_to_end_seconds_count'].map((key) =>
        series.get(key),
      )
    }
    await until('it reads from the streams', async () => sum(await scrapeWorker(worker), 'catching_up') === 0)
    await worker.stop()
    await pipeline.send([event()])
    const entries: [stream: string, fields: string[]][] = []
    for (let partition = 0; partition < pipeline.partitions; partition++) {
      const stream = `${pipeline.prefix}:{p${partition}}:events`
      for (const [, fields] of await pipeline.redis.xrange(stream, '-', '+')) entries.push([stream, fields])
    }
    worker = await pipeline.startWorker('a')
    await pipeline.drained()
    expect(await counted()).toEqual([0, 1, 1])
    for (const [stream, fields] of entries) await pipeline.redis.xadd(stream, '*', ...fields)
    await pipeline.streamsEmpty()
    await until('it is counted', async () => (await counted())[0] === 1)
    expect(await counted()).toEqual([1, 1, 1])
    await worker.stop()
  })
})

describe('of ingest', () => {
  test('show the pipeline: its partitions, owners and workers, and that nothing waits', async () => {
    const worker = await pipeline.startWorker('b')
    const series = await untilScraped(
      'all have an owner, and all is read',
      // A reading from before the start of this worker shows the one that has stopped.
      (now) =>
        [...now.keys()].filter((name) => /^partition_owner\{.*worker_id="b"/.test(name)).length === 16 &&
        now.get('workers') === 1 &&
        now.has('postgres_size_bytes'),
    )
    for (let partition = 0; partition < 16; partition++) {
      expect(series.get(`partition_owner{partition="${partition}",worker_id="b"}`)).toBe(1)
      expect(series.get(`partition_epoch{partition="${partition}"}`)).toBeGreaterThan(0)
      for (const name of ['queue_depth', 'pending', 'consumer_lag', 'consumer_lag_seconds']) {
        expect({ [name]: series.get(`${name}{partition="${partition}"}`) }).toEqual({ [name]: 0 })
      }
    }
    expect(series.get('workers')).toBe(1)
    expect(series.get('oldest_unsettled_age_seconds')).toBe(0)
    expect(series.get('retrying_events')).toBe(0)
    expect(series.get('unpublished_total')).toBe(0)
    expect(series.get('flush_size_count')).toBeGreaterThan(0)
    expect(series.get('flush_size_sum')).toBeGreaterThanOrEqual(8)
    expect(series.get('postgres_size_bytes')).toBeGreaterThan(1_000_000)
    expect(series.get('postgres_capacity_bytes')).toBe(1e9)
    expect(series.get(`build_info{version="0.1.0",worker_id="",node_version="${process.versions.node}"}`)).toBe(1)
    await worker.stop()
  })

  test('show the dead letters by type, and those of undefined types as other', async () => {
    const series = await untilScraped('they are read', (now) => (now.get('dead_letters_open{type="other"}') ?? 0) > 0)
    expect(series.get('dead_letters_open{type="fault.step"}')).toBe(3)
    expect(series.get('dead_letters_open{type="other"}')).toBe(1)
  }, 30_000)

  test('show a backlog while no worker is running, and its age', async () => {
    await pipeline.send(Array.from({ length: 40 }, () => event()))
    const series = await untilScraped('the backlog', (now) => sum(now, 'consumer_lag') === 40)
    expect(sum(series, 'queue_depth')).toBeGreaterThan(0)
    expect(named(series, 'partition_owner')).toEqual([])
    expect(series.get('workers')).toBe(0)
    await untilScraped('it is older than a second', (now) => now.get('oldest_unsettled_age_seconds')! > 1)
  })

  test('work without Redis, from Postgres', async () => {
    await redis.crash(0, async () => {
      const series = await untilScraped(
        'Redis is away',
        (now) => now.get('dependency_up{dependency="redis"}') === 0 && named(now, 'queue_depth').length === 0,
      )
      expect(named(series, 'pending')).toEqual([])
      expect(sum(series, 'consumer_lag')).toBe(40)
      expect(series.get('oldest_unsettled_age_seconds')).toBeGreaterThan(1)
      await pipeline.send([event()])
      expect((await scrape()).get('unpublished_total')).toBe(1)
    })
  })

  test('that cannot be read are absent, and the scrape succeeds', async () => {
    link.mode = { kind: 'refuse' }
    link.reset()
    const series = await untilScraped(
      'Postgres is away',
      (now) => now.get('dependency_up{dependency="postgres"}') === 0 && !now.has('workers'),
    )
    for (const name of ['oldest_unsettled_age_seconds', 'consumer_lag', 'partition_owner', 'retrying_events']) {
      expect(named(series, name)).toEqual([])
    }
    const refused = await post(`${pipeline.url}/v1/events`, event())
    expect(refused.status).toBe(503)
    expect((await scrape()).get('events_received_total{type="fault.step",outcome="unavailable"}')).toBe(1)
    link.mode = { kind: 'pass' }
    await untilScraped('Postgres is back', (now) => now.has('workers'))
  }, 60_000)
})

describe('the table in docs/telemetry.md', () => {
  const documented = [
    ...readFileSync(join(import.meta.dirname, '../../../docs/telemetry.md'), 'utf8').matchAll(
      /^\| `(?<name>\w+)` \| (?<type>counter|gauge|histogram) \| (?<from>[\w ]+) \| (?<labels>.*?) ?\|/gm,
    ),
  ].map(({ groups }) => {
    const { name, type, from, labels } = groups as Record<string, string>
    return { name, type, from, labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label) }
  })

  test.each([
    ['ingest', createIngestMetrics([])],
    ['worker', createWorkerMetrics('w', [])],
  ] as const)('matches the metrics of %s exactly', (service, { registry }) => {
    type Declared = { name: string; type: string; labelNames: string[] }
    const declared = (registry.getMetricsAsArray() as unknown as Declared[])
      .filter(({ name }) => name.startsWith('eventflow_'))
      .map(({ name, type, labelNames }) => ({ name: name.replace('eventflow_', ''), type, labels: labelNames }))
    const byName = (a: { name: string | undefined }, b: { name: string | undefined }) => (a.name! < b.name! ? -1 : 1)
    expect(declared.length).toBeGreaterThan(5)
    expect(
      documented
        .filter(({ from }) => from === service || from === 'both')
        .map(({ name, type, labels }) => ({ name, type, labels }))
        .sort(byName),
    ).toEqual(declared.sort(byName))
  })
})
