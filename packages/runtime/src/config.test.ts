/** Settings: all mistakes are reported at once, and no password is shown. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ConfigError, IngestConfig, readConfig, redacted, WorkerConfig } from './config.js'

const needed = {
  DATABASE_URL: 'postgres://user:secret@db.example:5432/events',
  REDIS_URL: 'redis://:secret@cache.example:6379',
  EVENTFLOW_EVENTS: './events',
}

/** The names of the wrong settings that the error reports, in its order. */
function wrongIn(env: Record<string, string | undefined>, schema: typeof IngestConfig | typeof WorkerConfig): string[] {
  try {
    readConfig(schema, env)
    return []
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message.split('\n').map((line) => line.split(' ')[0]!)
  }
}

describe('the settings', () => {
  test('have defaults, except for addresses and the folder of definitions', () => {
    expect(readConfig(IngestConfig, needed)).toEqual({
      ...needed,
      DATABASE_REPLICA_URL: '',
      OTEL_EXPORTER_OTLP_ENDPOINT: '',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: '',
      OTEL_SDK_DISABLED: 'false',
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_TRACES_SAMPLER: 'parentbased_always_on',
      OTEL_TRACES_SAMPLER_ARG: '1',
      EVENTFLOW_PARTITIONS: 16,
      EVENTFLOW_PART_EVENTS: 0,
      EVENTFLOW_STREAM_PREFIX: 'ef',
      EVENTFLOW_LOG_LEVEL: 'info',
      EVENTFLOW_LOG_BATCHES_PER_SECOND: 1,
      EVENTFLOW_SHUTDOWN_TIMEOUT_MS: 15_000,
      EVENTFLOW_STALLED_LOOP_SECONDS: 30,
      EVENTFLOW_HOST: '127.0.0.1',
      EVENTFLOW_PORT: 8_000,
      EVENTFLOW_MAX_IN_FLIGHT: 20_000,
      EVENTFLOW_MAX_IN_FLIGHT_BYTES: 67_108_864,
      EVENTFLOW_MAX_STREAM_LENGTH: 5_000,
      EVENTFLOW_POSTGRES_CAPACITY_BYTES: 0,
      EVENTFLOW_BODY_LIMIT_BYTES: 8_388_608,
      EVENTFLOW_EVENT_LIMIT_BYTES: 262_144,
      EVENTFLOW_MAX_FUTURE_MINUTES: 1_440,
      EVENTFLOW_MAX_AGE_DAYS: 0,
      EVENTFLOW_MAX_CONNECTIONS: 2_000,
      EVENTFLOW_MAX_CONNECTIONS_PER_ADDRESS: 1_000,
      EVENTFLOW_HEALTH_PORT: 0,
      EVENTFLOW_MIN_BODY_BYTES_PER_SECOND: 8_192,
      EVENTFLOW_REQUEST_TIMEOUT_MS: 30_000,
      EVENTFLOW_BATCH_LIMIT: 1_000,
      EVENTFLOW_AUTH: 'loopback',
      EVENTFLOW_BOOTSTRAP_KEY: '',
      EVENTFLOW_CORS_ORIGINS: '',
      EVENTFLOW_TRACE_URL: '',
    })
    expect(readConfig(WorkerConfig, needed)).toMatchObject({ EVENTFLOW_WORKER_ID: '', EVENTFLOW_LANES: 2 })
  })

  test('have defaults that are valid themselves', () => {
    for (const schema of [IngestConfig, WorkerConfig]) {
      const config = readConfig(schema, needed)
      const asTexts = Object.fromEntries(Object.entries(config).map(([name, value]) => [name, String(value)]))
      expect(readConfig(schema, asTexts)).toEqual(config)
    }
  })

  test('are read with their types: numbers as numbers, everything else as text', () => {
    const env = { ...needed, EVENTFLOW_PORT: '0', EVENTFLOW_STREAM_PREFIX: '16', EVENTFLOW_BATCH_LIMIT: '10000' }
    expect(readConfig(IngestConfig, env)).toMatchObject({
      EVENTFLOW_PORT: 0,
      EVENTFLOW_STREAM_PREFIX: '16',
      EVENTFLOW_BATCH_LIMIT: 10_000,
    })
  })

  test('that are empty count as missing', () => {
    expect(readConfig(IngestConfig, { ...needed, EVENTFLOW_PORT: '' }).EVENTFLOW_PORT).toBe(8_000)
    expect(wrongIn({ ...needed, REDIS_URL: '' }, IngestConfig)).toEqual(['REDIS_URL'])
  })

  test('of the other kind of process, and of other programs, are ignored', () => {
    const config = readConfig(WorkerConfig, { ...needed, EVENTFLOW_PORT: '8000', PATH: '/bin', NODE_ENV: 'test' })
    expect(Object.keys(config)).not.toContain('EVENTFLOW_PORT')
    expect(Object.keys(config)).not.toContain('PATH')
  })

  test('cannot be changed once they are read', () => {
    const config = readConfig(IngestConfig, needed) as Record<string, unknown>
    expect(() => {
      config.EVENTFLOW_PORT = 1
    }).toThrow(TypeError)
  })
})

describe('what is wrong', () => {
  test('is reported all at once, each by its name: missing, malformed, and unknown', () => {
    const env = {
      DATABASE_URL: 'mysql://db',
      EVENTFLOW_EVENTS: './events',
      EVENTFLOW_PORT: '65536',
      EVENTFLOW_BATCH_LIMIT: 'many',
      EVENTFLOW_LOG_LEVEL: 'loud',
      EVENTFLOW_PROT: '8000',
      EVENTFLOW_MAX_INFLIGHT: '5',
    }
    expect(wrongIn(env, IngestConfig)).toEqual([
      'DATABASE_URL',
      'REDIS_URL',
      'EVENTFLOW_LOG_LEVEL',
      'EVENTFLOW_PORT',
      'EVENTFLOW_BATCH_LIMIT',
      'EVENTFLOW_PROT',
      'EVENTFLOW_MAX_INFLIGHT',
    ])
  })

  test('is reported with the accepted form, and never with the value, which may hold a password', () => {
    const env = { ...needed, DATABASE_URL: 'postgre://user:secret@db', EVENTFLOW_PORT: 'x' }
    const read = () => readConfig(IngestConfig, env)
    expect(read).toThrow('EVENTFLOW_PORT is not valid: HTTP port (a whole number from 0 to 65535)')
    expect(read).toThrow(/^DATABASE_URL is not valid: Postgres, as postgres:/)
    expect(read).not.toThrow('secret')
  })

  test.each(['-1', '1.5', '80a', ' ', '0x50', '1e3', '٣', 'Infinity', '65536', '99999999999999999999'])(
    'includes a port of %j',
    (port) => {
      expect(wrongIn({ ...needed, EVENTFLOW_PORT: port }, IngestConfig)).toEqual(['EVENTFLOW_PORT'])
    },
  )

  test('is a transaction of handlers that is shorter than one call may be', () => {
    const limits = { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '3', EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: '2.5' }
    expect(() => readConfig(WorkerConfig, { ...needed, ...limits })).toThrow(
      'EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS is 2.5, less than EVENTFLOW_HANDLER_TIMEOUT_SECONDS (3): one call must fit into its transaction',
    )
  })

  test.each([
    ['6', '7', 'events are kept for 7 (EVENTFLOW_RETENTION_SETTLED_DAYS)'],
    ['7', '0', 'events are kept forever (EVENTFLOW_RETENTION_SETTLED_DAYS is 0)'],
  ])('is an id that is known for %s days, with events kept for %s', (known, kept, why) => {
    const days = { EVENTFLOW_DEDUPLICATION_DAYS: known, EVENTFLOW_RETENTION_SETTLED_DAYS: kept }
    expect(() => readConfig(WorkerConfig, { ...needed, ...days })).toThrow(
      `EVENTFLOW_DEDUPLICATION_DAYS is ${known}, but ${why}: an id is known at least as long as its event is kept`,
    )
  })

  test.each([
    ['0', '7'],
    ['7', '7'],
    ['30', '7'],
    ['0', '0'],
  ])('is not an id that is known for %s days, with events kept for %s', (known, kept) => {
    const days = { EVENTFLOW_DEDUPLICATION_DAYS: known, EVENTFLOW_RETENTION_SETTLED_DAYS: kept }
    expect(wrongIn({ ...needed, ...days }, WorkerConfig)).toEqual([])
  })

  test('is any port that is not an integer from 0 to 65535', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer().map(String), fc.string({ minLength: 1 }), fc.double().map(String)), (port) => {
        const valid = /^\d+$/.test(port) && Number(port) <= 65_535
        expect(wrongIn({ ...needed, EVENTFLOW_PORT: port }, IngestConfig)).toEqual(valid ? [] : ['EVENTFLOW_PORT'])
      }),
    )
  })
})

describe('shown in a log, a URL', () => {
  const shown = (url: string) => redacted({ DATABASE_URL: url }).DATABASE_URL

  test.each([
    ['postgres://user:secret@db.example:5432/events', 'postgres://user:***@db.example:5432/events'],
    ['redis://:secret@cache.example:6379', 'redis://:***@cache.example:6379'],
    ['rediss://user:secret@cache.example/2', 'rediss://user:***@cache.example/2'],
    ['postgres://user@db.example/events', 'postgres://user@db.example/events'],
    ['redis://cache.example:6379', 'redis://cache.example:6379'],
    ['postgres://user:p@ss:secret@db.example/events', 'postgres://user:***@db.example/events'],
    ['postgres://user:se/cret@db.example/events', 'postgres://user:***@db.example/events'],
    [
      'postgres://db.example/events?user=u&password=secret&ssl=true',
      'postgres://db.example/events?user=u&password=***&ssl=true',
    ],
    ['postgres://user:secret@db/events?application_name=a@b', 'postgres://user:***@b'],
  ])('%s has no password', (url, expected) => {
    expect(shown(url)).toBe(expected)
  })

  test('has no password, of any characters', () => {
    const password = fc.string({ minLength: 1 }).map((text) => `<${encodeURIComponent(text)}>`)
    fc.assert(
      fc.property(password, (secret) => {
        expect(shown(`postgres://user:${secret}@db.example/events`)).toBe('postgres://user:***@db.example/events')
      }),
    )
  })

  test.each([
    'https://hooks.example/services/secret',
    'https://secret@hooks.example/services',
    'https://user:secret@hooks.example?key=secret#secret',
  ])('%s shows only its host', (url) => {
    const shown = 'https://hooks.example/***'
    expect(redacted({ ANY_URL: url, ANY_ENDPOINT: url })).toEqual({ ANY_URL: shown, ANY_ENDPOINT: shown })
  })

  test('and a secret value are the only settings that are masked', () => {
    expect(redacted({ EVENTFLOW_ANY_SECRET: 'secret', EVENTFLOW_OTHER_SECRET: '' })).toEqual({
      EVENTFLOW_ANY_SECRET: '***',
      EVENTFLOW_OTHER_SECRET: '',
    })
    const config = { EVENTFLOW_PORT: 8_000, EVENTFLOW_EVENTS: 'a://b:c@d', REDIS_URL: 'redis://cache' }
    expect(redacted(config)).toEqual(config)
  })
})
