/** The monitor with a real Postgres, a real Redis and a receiver that verifies every signature with its own code. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, type Db, heartbeat, takePartitions } from '@eventflow/db'
import { connectRedis, type Redis, untilReady } from '@eventflow/redis'
import { AlertsConfig, createLog, readConfig } from '@eventflow/runtime'
import { acceptEvents, createDatabase, type Link, newEvent, openLink, redisUrl, until } from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { startWatch, type Watch } from './watch.js'
import { createWebhook } from './webhook.js'

const KEY = Buffer.alloc(32, 7)
const SECRET = `whsec_${KEY.toString('base64')}`
const PATH = '/hook/canary-in-the-path'

interface Received {
  id: string
  type: string
  alert: string
  incident: string
  message: string
  value: number
}

let server: Server
let received: Received[]
/** The receiver's next answers; 204 if there is none. */
let answers: number[]
let attempts: string[]
let databaseUrl: string
/** The monitor's connection to Postgres; the test has a separate one. */
let toPostgres: Link
let toRedis: Link
let db: Db
let watches: Watch[]
let logged: { level: string; msg: string; alert?: string }[]
let closing: (() => Promise<unknown>)[]

beforeEach(async () => {
  received = []
  answers = []
  attempts = []
  watches = []
  logged = []
  server = createServer(async (request, response) => {
    const [id, timestamp, signature] = ['id', 'timestamp', 'signature'].map(
      (name) => request.headers[`webhook-${name}`] as string,
    )
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const expected = createHmac('sha256', KEY).update(`${id}.${timestamp}.`).update(body).digest()
    const signed = timingSafeEqual(Buffer.from(signature!.replace(/^v1,/, ''), 'base64'), expected)
    const fresh = Math.abs(Date.now() / 1_000 - Number(timestamp)) < 10
    attempts.push(id!)
    const status = signed && fresh ? (answers.shift() ?? 204) : 401
    if (status === 204) {
      const { type, data } = JSON.parse(body.toString())
      received.push({ id: id!, type, ...data })
    }
    response.writeHead(status).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  databaseUrl = await createDatabase()
  toPostgres = await openLink(Number(new URL(databaseUrl).port))
  toRedis = await openLink(Number(new URL(redisUrl()).port))
  db = connect({ url: databaseUrl, applicationName: 'test', max: 2, onIdleError: () => {} })
  closing = []
})

afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.stop()))
  await Promise.all(closing.map((close) => close()))
  await db.end()
  await Promise.all([toPostgres.stop(), toRedis.stop()])
  server.close()
})

/** Keeps a worker alive that owns all partitions, until the test is over or `stop`. */
async function keepWorker(): Promise<{ stop(): void }> {
  const beat = async () => {
    await heartbeat(db, { id: 'w', host: 'h', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
    await db.query(`UPDATE partitions SET lease_expires_at = now() + interval '10 s' WHERE owner = 'w'`)
  }
  await heartbeat(db, { id: 'w', host: 'h', pid: 1, run: 'run 1', leaseMs: 10_000 }, { takeOver: true })
  await takePartitions(
    db,
    'w',
    Array.from({ length: 16 }, (_, id) => id),
    { reclaim: false, leaseMs: 10_000 },
  )
  const timer = setInterval(() => beat().catch(() => {}), 2_000)
  const stop = () => clearInterval(timer)
  closing.push(async () => stop())
  return { stop }
}

const loseWorker = () => db.query(`UPDATE workers SET heartbeat_at = now() - interval '20 s'`)

async function watch(settings: Record<string, string> = {}): Promise<Watch> {
  const through = (url: string, link: Link) => {
    const changed = new URL(url)
    changed.port = `${link.port}`
    return changed.href
  }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`
  const config = readConfig(AlertsConfig, {
    DATABASE_URL: through(databaseUrl, toPostgres),
    REDIS_URL: through(redisUrl(), toRedis),
    EVENTFLOW_STREAM_PREFIX: 'alerts',
    EVENTFLOW_ALERT_WEBHOOK_URL: url,
    EVENTFLOW_ALERT_WEBHOOK_SECRET: SECRET,
    EVENTFLOW_ALERT_AFTER_SECONDS: '0',
    ...settings,
  })
  const log = createLog('alerts', config, {}, { write: (line: string) => void logged.push(JSON.parse(line)) })
  const monitorDb = connect({ url: config.DATABASE_URL, applicationName: 'test', max: 4, onIdleError: () => {} })
  const redis: Redis = connectRedis({ url: config.REDIS_URL, onError: () => {} })
  await untilReady(redis, 5_000)
  const started = startWatch({ db: monitorDb, redis, config, log, send: createWebhook(url, SECRET, 20), everyMs: 30 })
  let stopped: Promise<void> | undefined
  const stoppable = {
    stop() {
      stopped ??= started.stop().then(async () => {
        redis.disconnect()
        await monitorDb.end()
      })
      return stopped
    },
  }
  watches.push(stoppable)
  return stoppable
}

const told = (alert: string) => received.filter((message) => message.alert === alert).map(({ type }) => type)
const untilTold = (alert: string, ...types: string[]) =>
  until(`${alert}: ${types}`, () => told(alert).join() === types.map((type) => `alert.${type}`).join())

/** Resolves when the monitor has looked a few times more. */
async function looked(): Promise<void> {
  const looks = async () =>
    (await db.query(`SELECT xact_commit::integer AS n FROM pg_stat_database WHERE datname = current_database()`))
      .rows[0].n
  const before = await looks()
  await until('it has looked again', async () => (await looks()) > before + 30)
}

describe('the receiver gets one message at the beginning and one at the end', () => {
  test('also by two monitors, and when they are restarted in between', async () => {
    const worker = await keepWorker()
    const first = [await watch(), await watch()]
    worker.stop()
    await loseWorker()
    await untilTold('no-worker', 'raised')
    await Promise.all(first.map((each) => each.stop()))
    await watch()
    await looked()
    expect(told('no-worker')).toEqual(['alert.raised'])

    await keepWorker()
    await untilTold('no-worker', 'raised', 'cleared')
    await looked()
    const messages = received.filter(({ alert }) => alert === 'no-worker')
    expect(messages).toMatchObject([
      { type: 'alert.raised', message: 'no worker is running', value: 1 },
      { type: 'alert.cleared', message: 'running workers: 1', value: 0 },
    ])
    const [incident] = new Set(messages.map((message) => message.incident))
    expect(messages.map(({ id }) => id)).toEqual([`${incident}-raised`, `${incident}-cleared`])
    expect(logged.filter(({ alert }) => alert === 'no-worker').map(({ level }) => level)).toEqual(['warn', 'info'])
    expect(JSON.stringify(logged)).not.toMatch(/canary|whsec/)
  })

  test('also when it fails at first, with the same id each time', async () => {
    answers = [503, 429]
    await watch()
    await untilTold('no-worker', 'raised')
    expect(attempts.slice(0, 3)).toEqual(Array(3).fill(attempts[0]))
  })

  test('by the next monitor, if it has refused the message', async () => {
    answers = Array(100).fill(400)
    const first = await watch()
    await until('it is refused', () => logged.some(({ msg }) => msg.startsWith('an alert could not be sent')))
    await first.stop()
    expect(received).toEqual([])
    answers = []
    await db.query(`UPDATE alerts SET sending_until = '-infinity'`)
    await watch()
    await untilTold('no-worker', 'raised')
    const unsent = async () => (await db.query('SELECT FROM alerts WHERE raised_sent_at IS NULL')).rowCount
    await until('the message is recorded as sent', async () => (await unsent()) === 0)
  })
})

describe('the receiver is notified', () => {
  test('when Postgres is down, and when it is back, though nothing can be written in between', async () => {
    await keepWorker()
    const first = await watch()
    await looked()
    toPostgres.mode = { kind: 'refuse' }
    toPostgres.reset()
    await untilTold('postgres-away', 'raised')
    expect(told('no-worker')).toEqual([])
    toPostgres.mode = { kind: 'pass' }
    await untilTold('postgres-away', 'raised', 'cleared')
    await first.stop()
    const { rows } = await db.query('SELECT alert, raised_sent_at < cleared_at AS in_order FROM alerts')
    expect(rows).toEqual([{ alert: 'postgres-away', in_order: true }])
    expect(received).toHaveLength(2)
  })

  test('when Redis is down, and when it is back', async () => {
    await keepWorker()
    await watch()
    await looked()
    expect(received).toEqual([])
    toRedis.mode = { kind: 'refuse' }
    toRedis.reset()
    await untilTold('redis-away', 'raised')
    toRedis.mode = { kind: 'pass' }
    await untilTold('redis-away', 'raised', 'cleared')
  })

  test('when a partition has no owner', async () => {
    await keepWorker()
    await watch()
    await looked()
    await db.query(`UPDATE partitions SET owner = NULL WHERE id IN (3, 5)`)
    await untilTold('partition-without-owner', 'raised')
    await takePartitions(db, 'w', [3, 5], { reclaim: false, leaseMs: 10_000 })
    await untilTold('partition-without-owner', 'raised', 'cleared')
    expect(received[0]!.message).toBe('partitions without an owner: 3, 5')
  })

  test('when events get old, and not again while their age fluctuates', async () => {
    await keepWorker()
    await watch({ EVENTFLOW_ALERT_OLDEST_SECONDS: '100', EVENTFLOW_ALERT_LAG_SECONDS: '1000' })
    const [event] = await acceptEvents(db, [newEvent({ partition: 2 })])
    const age = (seconds: number) =>
      db.query(`UPDATE raw_events SET accepted_at = now() - $1 * interval '1 s' WHERE event_id = $2`, [
        seconds,
        event!.id,
      ])
    await looked()
    expect(received).toEqual([])
    await age(130)
    await untilTold('oldest-unsettled', 'raised')
    for (const seconds of [70, 130, 60]) {
      await age(seconds)
      await looked()
    }
    expect(told('oldest-unsettled')).toEqual(['alert.raised'])
    await age(20)
    await untilTold('oldest-unsettled', 'raised', 'cleared')
  })

  test('when nothing is settled although there are events to settle', async () => {
    await keepWorker()
    await acceptEvents(db, [newEvent({ partition: 2 })])
    await watch({ EVENTFLOW_ALERT_STALLED_SECONDS: '1' })
    await untilTold('stalled', 'raised')
    await db.query('DELETE FROM raw_events')
    await untilTold('stalled', 'raised', 'cleared')
  })

  test('when many dead letters are written', async () => {
    await keepWorker()
    await watch({ EVENTFLOW_ALERT_DEAD_LETTERS: '4' })
    const die = (count: number) =>
      db.query(
        `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                                    errors, component, worker_id, attempts, history, correlation_id, accepted_at)
         SELECT 'default', gen_random_uuid(), n, 't', 'k', 0, '{}', 'permanent', 'E', 'm', '[]', 'handle', 'w', 1, '[]', 'c', now()
         FROM generate_series(1, $1) n`,
        [count],
      )
    await die(4)
    await looked()
    expect(received).toEqual([])
    await die(1)
    await untilTold('dead-letters', 'raised')
    expect(received[0]!.message).toBe('5 dead letters were written in the last 5 minutes')
    await db.query(`UPDATE failed_events SET status = 'discarded'`)
    await untilTold('dead-letters', 'raised', 'cleared')
  })
})
