/** Settings: read once from environment variables, checked against a schema, frozen. */
import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { acceptingSettings } from './accepting-settings.js'
import { alertSettings } from './alert-settings.js'
import { contradictionsIn } from './contradictions.js'
import { tracingSettings } from './tracing-settings.js'

const Port = (description: string, value: number) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: value, description })

const Days = (description: string) => Type.Integer({ minimum: 0, maximum: 36_500, default: 0, description })

/** The form that browsers send (RFC 6454 §6.2). */
const ORIGIN = 'https?://([a-z0-9.-]+|\\[[0-9a-f:]+\\])(:\\d{1,5})?'

/** Settings of every process. */
const shared = {
  DATABASE_URL: Type.String({
    pattern: '^postgres(ql)?://',
    description: 'Postgres, as postgres://user:password@host:port/database',
  }),
  REDIS_URL: Type.String({ pattern: '^rediss?://', description: 'Redis, as redis://host:port' }),
  EVENTFLOW_EVENTS: Type.String({ minLength: 1, description: 'Folder with the event definitions' }),
  EVENTFLOW_PARTITIONS: Type.Integer({
    minimum: 1,
    maximum: 1024,
    default: 16,
    description: 'Number of partitions; used only when a database is created',
  }),
  EVENTFLOW_STREAM_PREFIX: Type.String({
    pattern: '^[A-Za-z0-9_.-]+$',
    default: 'ef',
    description: 'Prefix of all keys in Redis',
  }),
  EVENTFLOW_LOG_LEVEL: Type.Union(
    ['trace', 'debug', 'info', 'warn', 'error', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info', description: 'trace, debug, info, warn, error or silent' },
  ),
  EVENTFLOW_LOG_BATCHES_PER_SECOND: Type.Integer({
    minimum: 0,
    maximum: 100_000,
    default: 1,
    description: 'Log lines about batches per second; 0 for none',
  }),
  EVENTFLOW_PART_EVENTS: Type.Integer({
    minimum: 0,
    default: 0,
    description: 'Events of a part of the ledger; 0: from the events of a day and the days that they are kept',
  }),
  EVENTFLOW_SHUTDOWN_TIMEOUT_MS: Type.Integer({
    minimum: 0,
    default: 15_000,
    description: 'Milliseconds for an orderly stop; after them the process exits with 1',
  }),
  EVENTFLOW_STALLED_LOOP_SECONDS: Type.Integer({
    minimum: 0,
    maximum: 3_600,
    default: 30,
    description: 'Seconds that code may block the event loop before the process exits; 0 for no limit',
  }),
  ...tracingSettings,
}

export const IngestConfig = Type.Object({
  ...shared,
  ...acceptingSettings,
  DATABASE_REPLICA_URL: Type.String({
    pattern: '^(postgres(ql)?://.*)?$',
    default: '',
    description: 'A standby for reads, as postgres://user:password@host:port/database; empty for none',
  }),
  EVENTFLOW_HOST: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to listen on' }),
  EVENTFLOW_AUTH: Type.Union([Type.Literal('loopback'), Type.Literal('required')], {
    default: 'loopback',
    description: 'required: every request needs an API key; loopback: only if EVENTFLOW_HOST is not a loopback address',
  }),
  EVENTFLOW_BOOTSTRAP_KEY: Type.String({
    pattern: '^(ef_[0-9a-f]{12}_[0-9a-f]{64})?$',
    default: '',
    description: 'An API key with all scopes, created at the start and valid for 90 days',
  }),
  EVENTFLOW_PORT: Port('HTTP port', 8000),
  EVENTFLOW_CORS_ORIGINS: Type.String({
    default: '',
    pattern: `^(\\*|${ORIGIN}(,${ORIGIN})*)?$`,
    description: 'Origins whose pages may read answers, separated by commas, or * for all; empty for none',
  }),
  EVENTFLOW_MAX_IN_FLIGHT: Type.Integer({
    minimum: 1,
    default: 20_000,
    description: 'Limit of events in flight; above it 503',
  }),
  EVENTFLOW_MAX_IN_FLIGHT_BYTES: Type.Integer({
    minimum: 1_024,
    default: 67_108_864,
    description: 'Limit of bytes of data in flight, as JSON text, and of bodies being received; above either 503',
  }),
  EVENTFLOW_POSTGRES_CAPACITY_BYTES: Type.Integer({
    minimum: 0,
    default: 0,
    description: 'Disk space for the database, for the metric and its alert; 0 for unknown',
  }),
  EVENTFLOW_BODY_LIMIT_BYTES: Type.Integer({
    minimum: 1_024,
    default: 8_388_608,
    description: 'Largest request body, in bytes',
  }),
  EVENTFLOW_MAX_FUTURE_MINUTES: Type.Integer({
    minimum: 0,
    maximum: 52_560_000,
    default: 1_440,
    description: 'Minutes that the time of an event may be ahead of the clock',
  }),
  EVENTFLOW_MAX_AGE_DAYS: Days('Highest age of the time of an event, in days; 0 for no limit'),
  EVENTFLOW_MAX_CONNECTIONS: Type.Integer({
    minimum: 1,
    default: 2_000,
    description: 'Limit of open connections; further ones are closed at once',
  }),
  EVENTFLOW_MAX_CONNECTIONS_PER_ADDRESS: Type.Integer({
    minimum: 1,
    default: 1_000,
    description: 'Limit of open connections from one address, or from one /64 network of IPv6',
  }),
  EVENTFLOW_HEALTH_PORT: Port('Additional port for only health and metrics; 0 for none', 0),
  EVENTFLOW_REQUEST_TIMEOUT_MS: Type.Integer({
    minimum: 1_000,
    maximum: 3_600_000,
    default: 30_000,
    description: 'Longest time for a request to arrive; after it 408',
  }),
  EVENTFLOW_MIN_BODY_BYTES_PER_SECOND: Type.Integer({
    minimum: 0,
    maximum: 1_048_576,
    default: 8_192,
    description: 'Lowest rate of a body after its first 5 seconds, in bytes per second; 0 for no limit',
  }),
  EVENTFLOW_BATCH_LIMIT: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 1_000,
    description: 'Most events in one batch request',
  }),
  EVENTFLOW_TRACE_URL: Type.String({
    default: '',
    pattern: '^$|^https?://.*\\{trace_id\\}',
    description: 'Address of the page of a trace, with {trace_id} in it; empty for none',
  }),
})

export const WorkerConfig = Type.Object({
  ...shared,
  ...acceptingSettings,
  EVENTFLOW_GROUPS: Type.String({
    pattern: '^([a-z][a-z0-9._-]*(,[a-z][a-z0-9._-]*)*)?$',
    default: '',
    description: 'Consumer groups that the worker reads, and nothing else, separated by commas; empty for the pipeline',
  }),
  EVENTFLOW_WORKER_ID: Type.String({
    pattern: '^[A-Za-z0-9_.-]{0,100}$',
    default: '',
    description: 'Name of the worker, stable over restarts; by default host and process id',
  }),
  EVENTFLOW_HOST: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address for health and metrics' }),
  EVENTFLOW_METRICS_PORT: Port('Port for health and metrics; 0 takes a free one', 9101),
  EVENTFLOW_LANES: Type.Integer({
    minimum: 1,
    maximum: 16,
    default: 2,
    description: 'Batches processed at once, each from its own partitions',
  }),
  EVENTFLOW_LEASE_SECONDS: Type.Number({
    minimum: 0.5,
    maximum: 3_600,
    default: 10,
    description: 'Seconds without a heartbeat after which other workers take the partitions of a worker',
  }),
  EVENTFLOW_MAX_WAITING: Type.Integer({
    minimum: 1,
    default: 10_000,
    description: 'Blocked events of a partition kept in memory before the partition pauses',
  }),
  EVENTFLOW_MAX_WAITING_BYTES: Type.Integer({
    minimum: 1_024,
    default: 67_108_864,
    description: 'Bytes of blocked events in all partitions of the worker, as JSON text, shared equally',
  }),
  EVENTFLOW_ENRICH_TIMEOUT_SECONDS: Type.Number({
    minimum: 0.1,
    maximum: 3_600,
    default: 30,
    description: 'Time limit of a call of an enricher, in seconds; after it the attempt fails',
  }),
  EVENTFLOW_HANDLER_TIMEOUT_SECONDS: Type.Number({
    minimum: 0.1,
    maximum: 5,
    default: 5,
    description: 'Time limit of a call of a handler, in seconds; after it the attempt fails',
  }),
  EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: Type.Number({
    minimum: 0.1,
    maximum: 8,
    default: 8,
    description: 'Time limit of all handlers of a batch together, in seconds; a slower batch is halved',
  }),
  EVENTFLOW_STALLED_AFTER_SECONDS: Type.Integer({
    minimum: 1,
    default: 30,
    description: 'Seconds without a settled event, while events wait, after which a worker reports itself stalled',
  }),
  EVENTFLOW_RETENTION_SETTLED_DAYS: Days('Days after which processed events are deleted; 0 keeps them'),
  EVENTFLOW_DEDUPLICATION_DAYS: Days(
    'Days after which the id of a removed event may be forgotten; 0: as long as processed events are kept',
  ),
  EVENTFLOW_RETENTION_DEAD_DAYS: Days('Days since its last change after which a dead letter is deleted; 0 keeps them'),
  EVENTFLOW_RETENTION_ARCHIVE: Type.Union([Type.Literal('optional'), Type.Literal('required')], {
    default: 'optional',
    description: 'Whether events are deleted only after eventflow archive has copied their part: optional or required',
  }),
})

const { EVENTFLOW_EVENTS: _, EVENTFLOW_STALLED_LOOP_SECONDS: __, ...withoutEvents } = shared

export const AlertsConfig = Type.Object({ ...withoutEvents, ...alertSettings })

export type IngestConfig = Static<typeof IngestConfig>
export type WorkerConfig = Static<typeof WorkerConfig>
export type AlertsConfig = Static<typeof AlertsConfig>

const KNOWN = new Set([IngestConfig, WorkerConfig, AlertsConfig].flatMap(({ properties }) => Object.keys(properties)))

/** Invalid settings: each line of the message names one of them. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/**
 * Reads the settings of a process. Throws ConfigError that names every variable that is missing, malformed or, with the
 * prefix EVENTFLOW_, unknown: otherwise a misspelt setting would silently have no effect.
 */
export function readConfig<Schema extends TObject>(
  schema: Schema,
  env: Record<string, string | undefined> = process.env,
  /** Options of the command line, by the names of the settings that they replace. */
  options: Record<string, string | undefined> = {},
): Readonly<Static<Schema>> {
  const problems: string[] = []
  const config: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(schema.properties)) {
    const text = options[name] ?? env[name]
    if (text === undefined || text === '') {
      if (property.default === undefined) problems.push(`${name} is missing: ${property.description}`)
      else config[name] = property.default
      continue
    }
    const value = NUMBERS[property.type]?.test(text) ? Number(text) : text
    if (Value.Check(property, value)) config[name] = value
    else problems.push(`${name} is not valid: ${property.description}${allowed(property)}`)
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith('EVENTFLOW_') && !KNOWN.has(name)) problems.push(`${name} is not a setting of EventFlow`)
  }
  if (problems.length === 0) problems.push(...contradictionsIn(config))
  if (problems.length > 0) throw new ConfigError(problems.join('\n'))
  return Object.freeze(config) as Readonly<Static<Schema>>
}

/** The accepted text of a number, by its type in the schema. */
const NUMBERS: Record<string, RegExp> = { integer: /^\d+$/, number: /^\d+(\.\d+)?$/ }

function allowed({ type, minimum, maximum, pattern }: TSchema): string {
  if (pattern) return ` (must match ${pattern})`
  if (type === 'number') return ` (a number from ${minimum} to ${maximum})`
  if (maximum !== undefined) return ` (a whole number from ${minimum} to ${maximum})`
  return minimum === undefined ? '' : ` (a whole number, at least ${minimum})`
}

/** The settings without passwords and secrets, for logs. Hides too much rather than too little. */
export function redacted(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [name, typeof value === 'string' ? shown(name, value) : value]),
  )
}

function shown(name: string, value: string): string {
  if (/_(SECRET|TOKEN|KEY|PASSWORD)$/.test(name)) return value === '' ? '' : '***'
  if (!/_(URL|ENDPOINT)$/.test(name)) return value
  // Receivers of webhooks often have their secret in the path.
  if (/^https?:/.test(value)) return value.replace(/(:\/\/)(?:[^/]*@)?([^/?#]*).*/s, '$1$2/***')
  // By its text: a password with unescaped special characters makes it an invalid URL, and must not be shown either.
  return value.replace(/(:\/\/[^:/@]*):.*@/s, '$1:***@').replace(/([?&]password=)[^&]*/g, '$1***')
}
