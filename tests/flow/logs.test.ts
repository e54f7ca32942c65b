/** The logs of the programs: they identify an event all the way, never contain its data, and never flood. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { connect, type Db, prepare } from '@eventflow/db'
import { connectRedis } from '@eventflow/redis'
import {
  administer,
  adminUrlOf,
  createDatabase,
  type ProgramProcess,
  post,
  startOwnRedis,
  startProgramProcess,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import leaky from '../leaky-events/leaky.js'

const ROOT = join(import.meta.dirname, '../../..')
const EVENTS = join(import.meta.dirname, '../leaky-events')

/** Secrets that no line may contain, by the place where they are planted. */
const CANARIES = {
  payload: 'canary-payload-7f3a',
  key: 'canary-key-19bc',
  attribute: 'canary-attribute-a41f',
  authorization: createHash('sha256').update('canary').digest('hex'),
  header: 'canary-header-e2c8',
  idempotency: 'canary-idempotency-4b77',
  query: 'canary-query-90ab',
  path: 'canary-path-c07d',
  entry: 'canary-entry-31fe',
  postgres: 'canary-postgres-8d2b',
  redis: 'canary-redis-6e9c',
  webhook: 'canary-webhook-d318',
  signature: 'canarysignature7b2fcanarysignature7b2f',
}

const FAILURES = ['enricher', 'rule', 'handler', 'again', 'cast', 'unique', 'trigger'] as const

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'

// biome-ignore lint/suspicious/noExplicitAny: the fields of a log line.
type Line = Record<string, any>

const linesOf = ({ lines }: ProgramProcess): Line[] => lines.map((line) => JSON.parse(line))

let db: Db
let redis: Awaited<ReturnType<typeof startOwnRedis>>
let settings: Record<string, string>
const processes: ProgramProcess[] = []

const start = async (program: 'ingest' | 'worker' | 'alerts', more: Record<string, string> = {}) => {
  const started = await startProgramProcess(program, { ...settings, ...more })
  processes.push(started)
  return started
}

const urlOf = (ingest: ProgramProcess): string =>
  /Server listening at (http:[^"]+)/.exec(ingest.lines.find((line) => line.includes('Server listening'))!)![1]!

const untilSettled = () =>
  until('everything is settled', async () => {
    const { rows } = await db.query(`SELECT FROM events WHERE status NOT IN ('processed', 'failed')`)
    return rows.length === 0
  })

beforeAll(async () => {
  const url = new URL(await createDatabase())
  await prepare(url.href, [leaky.prepare!])
  db = connect({ url: adminUrlOf(url.href), applicationName: 'test', max: 2, onIdleError: () => {} })
  const role = `logs_${url.pathname.slice(1)}`
  await administer(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD '${CANARIES.postgres}'`)
  url.username = role
  url.password = CANARIES.postgres

  redis = await startOwnRedis()
  const admin = connectRedis({ url: redis.adminUrl, onError: () => {} })
  await until('Redis has a password', () => admin.config('SET', 'requirepass', CANARIES.redis))
  admin.disconnect()
  settings = {
    DATABASE_URL: url.href,
    REDIS_URL: Object.assign(new URL(redis.adminUrl), { password: CANARIES.redis }).href,
    EVENTFLOW_EVENTS: EVENTS,
    EVENTFLOW_BOOTSTRAP_KEY: `ef_0123456789ab_${CANARIES.authorization}`,
  }
})

afterAll(async () => {
  for (const process of processes) process.kill('SIGKILL')
  await Promise.all(processes.map(({ exited }) => exited))
  await Promise.all([db.end(), redis.stop()])
})

describe('at trace, with every kind of failure', () => {
  let ingest: ProgramProcess
  let worker: ProgramProcess
  let output: string
  let lines: Line[]

  beforeAll(async () => {
    ;[ingest, worker] = await Promise.all([
      start('ingest', { EVENTFLOW_LOG_LEVEL: 'trace' }),
      start('worker', { EVENTFLOW_LOG_LEVEL: 'trace' }),
    ])
    const alerts = await start('alerts', {
      EVENTFLOW_LOG_LEVEL: 'trace',
      EVENTFLOW_ALERT_WEBHOOK_URL: `http://127.0.0.1:9/${CANARIES.webhook}`,
      EVENTFLOW_ALERT_WEBHOOK_SECRET: `whsec_${CANARIES.signature}`,
      EVENTFLOW_ALERT_DEAD_LETTERS: '1',
      EVENTFLOW_ALERT_AFTER_SECONDS: '0',
    })
    const url = urlOf(ingest)
    await sendWhatFails(url)
    await untilSettled()
    await loseConnections()
    await post(`${url}/v1/events`, { type: 'leaky', data: { secret: CANARIES.payload } })
    await untilSettled()
    await until('there is an alert', () => alerts.lines.some((line) => line.includes('"alert":"dead-letters"')))
    const all = [ingest, worker, alerts]
    for (const process of all) process.kill('SIGTERM')
    await Promise.all(all.map(({ exited }) => exited))
    output = all.flatMap((process) => process.lines).join('\n')
    lines = all.flatMap(linesOf)
  }, 120_000)

  const told = (msg: string) => lines.filter((line) => line.msg === msg)

  test('no line contains a secret', async () => {
    const { rows } = await db.query(`SELECT message FROM failed_events WHERE type = 'leaky'`)
    // The errors do quote the event: logging them would have been detected.
    expect(rows.filter(({ message }) => message.includes(CANARIES.payload)).length).toBeGreaterThanOrEqual(5)
    const found = Object.values(CANARIES).filter((canary) =>
      [canary, encodeURIComponent(canary), Buffer.from(canary).toString('base64').slice(0, -4)].some((text) =>
        output.includes(text),
      ),
    )
    expect(found).toEqual([])
  })

  test('every failure has left a line', () => {
    expect(told('event failed').map(({ component }) => component)).toEqual(
      expect.arrayContaining(['enrich:careless', 'validate', 'handle', 'definition', 'schema']),
    )
    expect(told('event failed').map(({ error_class }) => error_class)).toEqual(
      expect.arrayContaining(['PermanentError', 'RuleViolation', 'UnknownType', 'SchemaError', 'SQLSTATE 22P02']),
    )
    expect(told('event will be retried').length).toBeGreaterThanOrEqual(1)
    expect(told('event not accepted').map(({ outcome }) => outcome)).toEqual(
      expect.arrayContaining(['invalid', 'conflict']),
    )
    expect(told('event not accepted').filter(({ correlation_id }) => correlation_id !== 'order-12')).toEqual([])
    expect(told('request refused').map(({ error_class }) => error_class)).toEqual(
      expect.arrayContaining(['malformed-body', 'unsupported-media-type', 'route-not-found', 'body-too-large']),
    )
    const foreign = 'removing entries that this installation did not write, or whose events its database has forgotten'
    expect(told(foreign)).toHaveLength(1)
    expect(told('a connection to Postgres broke').length).toBeGreaterThanOrEqual(1)
    expect(lines.filter(({ err }) => err).length).toBeGreaterThanOrEqual(2)
  })

  test('an event is found by its correlation id from the request to the table to the log', async () => {
    const { rows } = await db.query(`SELECT event_id, correlation_id FROM events WHERE external_id = 'rule'`)
    expect(rows).toEqual([{ event_id: expect.any(String), correlation_id: 'order-12' }])
    // A connection cut meanwhile may have delivered the event a second time.
    const [line] = told('event failed').filter(({ event_id }) => event_id === rows[0].event_id)
    expect([line]).toEqual([
      {
        level: 'warn',
        time: expect.any(String),
        msg: 'event failed',
        service: 'worker',
        worker_id: expect.any(String),
        tenant_id: 'default',
        event_id: rows[0].event_id,
        event_type: 'leaky',
        correlation_id: 'order-12',
        trace_id: TRACE_ID,
        partition: expect.any(Number),
        entry_id: expect.stringMatching(/^\d+-\d+$/),
        attempt: 1,
        delivery_count: 1,
        component: 'validate',
        error_class: 'RuleViolation',
        outcome: 'dead',
        processing_time_ms: expect.any(Number),
      },
    ])
  })

  test('there is a line for every batch and, at this level, for every event', () => {
    const processed = told('batch settled').reduce((sum, line) => sum + line.processed, 0)
    expect(processed).toBeGreaterThanOrEqual(2)
    expect(told('event processed')).toHaveLength(processed)
    expect(told('events stored').reduce((sum, line) => sum + line.accepted, 0)).toBeGreaterThan(FAILURES.length)
  })

  test('every field is in the documentation', () => {
    const text = readFileSync(join(ROOT, 'docs/telemetry.md'), 'utf8')
    const section = text.slice(text.indexOf('## Log\n'), text.indexOf('\n## Traces\n'))
    const documented = new Set([...section.matchAll(/`([a-zA-Z_]+)`/g)].map(([, name]) => name))
    const fields = new Set(lines.flatMap((line) => Object.keys(line)))
    expect([...fields].filter((field) => !documented.has(field))).toEqual([])
  })

  test('the last lines are written before the process ends', () => {
    expect([linesOf(ingest).at(-1), linesOf(worker).at(-1)]).toMatchObject([{ msg: 'stopped' }, { msg: 'stopped' }])
  })
})

test('a process survives an unhandled rejection; one that ends by an error says so, to the last line', async () => {
  const [ingest, worker] = await Promise.all([start('ingest'), start('worker')])
  await post(`${urlOf(ingest)}/v1/events`, { type: 'leaky', data: { secret: '', fails: 'later' } })
  const unhandled = await until('it says so', () => linesOf(worker).find(({ level }) => level === 'error'))
  expect(unhandled).toMatchObject({
    type: 'leaky',
    function: "enricher 'careless'",
    err: { type: 'RangeError', message: 'after it has answered' },
  })
  const floating = await post(`${urlOf(ingest)}/v1/events`, { type: 'leaky', data: { secret: '', fails: 'floats' } })
  const { id } = (await floating.json()) as { id: string }
  const failed = await until('its call has failed', async () => {
    const answer = await fetch(`${urlOf(ingest)}/v1/events/${id}`)
    const event = (await answer.json()) as { status: string; failure: { message: string } }
    return event.status === 'failed' && event
  })
  expect(failed.failure.message).toBe(
    "enricher 'careless' of 'leaky' left an error unhandled (a missing await?): nothing awaits this",
  )
  await post(`${urlOf(ingest)}/v1/events`, { type: 'leaky', data: { secret: '', fails: 'never' } })
  expect(await worker.exited).toBe('code 1')
  const fatal = linesOf(worker).find(({ level }) => level === 'fatal')
  expect(fatal).toMatchObject({ err: { type: 'RangeError', message: 'of no event' } })
  expect(linesOf(worker).at(-1)!.msg).toBe('stopped')
  ingest.kill('SIGTERM')
  await ingest.exited
}, 60_000)

describe('by default', () => {
  let ingest: ProgramProcess
  let worker: ProgramProcess
  let url: string

  beforeAll(async () => {
    ;[ingest, worker] = await Promise.all([start('ingest'), start('worker')])
    url = urlOf(ingest)
  }, 60_000)

  const count = (process: ProgramProcess, msg: string) => linesOf(process).filter((line) => line.msg === msg).length

  test('a client that sends invalid requests cannot flood the log, and omitted lines are counted', async () => {
    const rubbish = Array.from({ length: 1_000 }, () => ({ type: 'leaky', data: 1 }))
    await post(`${url}/v1/events/batch`, rubbish)
    const leftOut = await until('it is told', () => {
      const line = linesOf(ingest).find(({ line }) => line === 'event not accepted')
      return line?.left_out as number | undefined
    })
    expect(count(ingest, 'event not accepted') + leftOut).toBe(1_000)
    expect(count(ingest, 'event not accepted')).toBe(20)
  })

  test('dead letters cannot flood it either', async () => {
    const dead = Array.from({ length: 500 }, (_, n) => ({
      type: 'leaky',
      id: `${n}`,
      data: { secret: '', fails: 'rule' },
    }))
    await post(`${url}/v1/events/batch`, dead)
    await untilSettled()
    const total = () =>
      linesOf(worker).reduce((sum, { msg, line, left_out = 0 }) => {
        if (msg === 'event failed') return sum + 1 + left_out
        return line === 'event failed' ? sum + left_out : sum
      }, 0)
    await until('all are written or counted', () => total() === 500)
    expect(count(worker, 'event failed')).toBeLessThan(200)
  })

  test('SIGUSR2 shows every event while it is needed, in a process that keeps working', async () => {
    const send = () => post(`${url}/v1/events`, { type: 'leaky', data: { secret: '' } }).then(() => untilSettled())
    await send()
    expect(count(worker, 'event processed')).toBe(0)

    worker.kill('SIGUSR2')
    await until('the level is switched', () => count(worker, 'log level changed') === 1)
    await send()
    await until('the event has a line', () => count(worker, 'event processed') === 1)

    worker.kill('SIGUSR2')
    await until('the level is switched back', () => count(worker, 'log level changed') === 2)
    await send()
    expect(count(worker, 'event processed')).toBe(1)

    ingest.kill('SIGUSR2')
    await until('the level of ingest is switched', () => count(ingest, 'log level changed') === 1)
    await fetch(`${url}/v1/events/none`)
    await until('a polled 404 has a line', () =>
      linesOf(ingest).some(({ level, msg }) => level === 'debug' && msg === 'request refused'),
    )
  })
})

/** One of everything that fails, each with secrets in every place that a client controls. */
async function sendWhatFails(url: string): Promise<void> {
  const secret = CANARIES.payload
  const headers = {
    authorization: `Bearer ef_0123456789ab_${CANARIES.authorization}`,
    cookie: CANARIES.header,
    'x-correlation-id': 'order-12',
    traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`,
  }
  const single = `${url}/v1/events?q=${CANARIES.query}`
  const batch = `${url}/v1/events/batch?q=${CANARIES.query}`
  const leakyEvent = (fails: string | undefined, n = '') => ({
    type: 'leaky',
    id: fails ?? `fine ${n}`,
    partitionkey: `${CANARIES.key} ${fails}`,
    data: { secret, fails },
  })
  const events = [...FAILURES, undefined].map((fails) => leakyEvent(fails))
  await post(batch, events, headers)
  // Once more: duplicates, one of which is another event, and data unknown to schema and definition.
  await post(batch, [...events, { ...leakyEvent('rule'), data: { secret: `${secret} 2` } }], headers)
  await post(single, { ...leakyEvent('rule'), data: { secret: `${secret} 3` } }, headers)
  await post(single, { type: 'leaky', data: { secret: { [secret]: 1 }, fails: secret } }, headers)
  await post(single, { type: 'unknown', partitionkey: CANARIES.key, data: { secret } }, headers)
  // Two events with one key.
  const idempotent = { ...headers, 'idempotency-key': CANARIES.idempotency }
  await post(single, { type: 'leaky', data: { secret } }, idempotent)
  await post(single, { type: 'leaky', data: { secret: `${secret} 2` } }, idempotent)
  // Requests that ingest refuses.
  await post(single, {}, { authorization: `Bearer ef_00000000_${CANARIES.authorization}` })
  await post(single, { type: 'leaky', [CANARIES.attribute]: 1, data: { secret } }, headers)
  await post(single, { type: { [secret]: 1 }, partitionkey: [CANARIES.key], data: secret }, headers)
  await post(single, { type: 'leaky', data: { secret: `${secret}\0` } }, headers)
  await post(single, `{"type": ${secret}`, headers)
  await post(batch, `{"type": ${secret}\n`, { ...headers, 'content-type': 'application/x-ndjson' })
  await post(single, Buffer.from(`\xff${secret}`, 'latin1'), headers)
  await post(single, secret, { ...headers, 'content-type': `text/${CANARIES.header}` })
  await post(batch, { secret }, headers)
  // The answer may come, and the connection be closed, while the body is still being sent.
  await post(single, { type: 'leaky', data: { secret: secret.repeat(600_000) } }, headers).catch(() => {})
  await fetch(`${url}/${CANARIES.path}?q=${CANARIES.query}`, { headers })
  await fetch(`${url}/v1/events/${CANARIES.path}?wait=${CANARIES.query}`, { headers })
  await fetch(`${url}/v1/dead-letters?${CANARIES.query}=1`, { headers })
  await noHttp(url, `POST /v1/events?${CANARIES.query} HTTP/1.1\r\nhost: a\r\n${CANARIES.header}\r\n\r\n${secret}`)
}

/** Sends bytes that are not HTTP; resolves when the connection is closed. */
async function noHttp(url: string, text: string): Promise<void> {
  const socket = connectTcp(Number(new URL(url).port), '127.0.0.1')
  await new Promise<void>((resolve) => {
    socket.on('error', () => resolve()).on('close', () => resolve())
    socket.resume().end(text)
  })
}

/** Breaks every connection to Postgres and Redis, and puts an entry into a stream that is not an event. */
async function loseConnections(): Promise<void> {
  const admin = connectRedis({ url: settings.REDIS_URL!, onError: () => {} })
  await until('the entry is there', () => admin.xadd('ef:{p0}:events', '*', 'e', CANARIES.entry))
  await until('it is removed', async () => (await admin.xlen('ef:{p0}:events')) === 0)
  await db.query(`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename LIKE 'logs%'`)
  await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  admin.disconnect()
}
