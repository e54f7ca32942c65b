/** Checks of the Postgres server. */
import {
  ASKING_APPLICATION,
  CONNECTIONS_OF_INGEST,
  IDLE_TIMEOUT_MS,
  INGEST_APPLICATION,
  type ServerFacts,
  STATEMENT_TIMEOUT_MS,
  WORKER_APPLICATION,
} from '@eventflow/db'
import { span } from '../table.js'
import type { PostgresFacts } from './facts.js'
import { error, type Finding, findings, type Problem, runSql, type Shells, warning } from './finding.js'
import { checkClock, checkDisk, megabytes } from './host.js'

/** The most connections of one worker with the default of two lanes. */
const OF_WORKER = 6

const GIBIBYTE = 2 ** 30

export function checkPostgres(facts: PostgresFacts, shells: Shells): Finding[] {
  return [
    ...checkVersion(facts),
    ...checkDurability(facts, shells),
    ...checkPooler(facts),
    ...checkConnections(facts, shells),
    ...checkRoles(facts, shells),
    ...checkTransactions(facts, shells),
    ...checkSlots(facts, shells),
    ...checkDisk('postgres disk', facts.disk, `; the database has ${megabytes(facts.databaseBytes)}${walOf(facts)}`),
    ...checkClock('postgres clock', facts.clock),
  ]
}

function checkVersion({ version, versionNumber }: ServerFacts): Finding[] {
  const fix =
    'install Postgres 15 or newer, https://www.postgresql.org/download/, and move the database with pg_upgrade'
  return findings('postgres version', version, [
    // Parts are detached concurrently, which Postgres 14 was the first to do.
    versionNumber < 140_000
      ? error(`${version} lacks what the tables need`, fix)
      : versionNumber < 150_000 && warning(`EventFlow is not tested on ${version}`, fix),
  ])
}

/** A 202 is only as durable as a COMMIT. */
function checkDurability({ settings, role, database }: PostgresFacts, shells: Shells): Finding[] {
  const dangers = {
    fsync: 'a crash of the machine can destroy the whole database',
    full_page_writes: 'a crash of the machine can leave pages half written',
    synchronous_commit: 'a crash of Postgres can lose events that were answered with 202',
  }
  return findings(
    'postgres durability',
    'fsync, full_page_writes and synchronous_commit are on',
    Object.entries(dangers).map(([name, danger]) => {
      const { value, source } = settings[name as keyof typeof dangers]
      return value === 'off' && error(`${name} is off: ${danger}`, turnOn(name, source, role, database, shells))
    }),
  )
}

/** The statement that turns a setting on again, at the level where it was turned off. */
function turnOn(name: string, source: string, role: string, database: string, shells: Shells): string {
  if (source === 'user') return runSql(shells, `ALTER ROLE "${role}" RESET ${name}`)
  if (source === 'database') return runSql(shells, `ALTER DATABASE "${database}" RESET ${name}`)
  if (source === 'database user') return runSql(shells, `ALTER ROLE "${role}" IN DATABASE "${database}" RESET ${name}`)
  if (source === 'client') return `remove ${name} from the options in DATABASE_URL`
  if (source === 'command line') return `start Postgres without -c ${name}=off`
  return runSql(shells, `ALTER SYSTEM SET ${name} = on`, 'SELECT pg_reload_conf()')
}

/** Our connections set their own limits; a pooler in between may drop them. */
function checkPooler({ settings }: PostgresFacts): Finding[] {
  const kept =
    settings.statement_timeout.value === `${STATEMENT_TIMEOUT_MS}` &&
    settings.idle_in_transaction_session_timeout.value === `${IDLE_TIMEOUT_MS}`
  return findings('postgres timeouts', 'statements and idle transactions are ended by the server', [
    !kept &&
      error(
        'a pooler or proxy drops the timeouts that EventFlow sets for its connections',
        'point DATABASE_URL to Postgres itself, not to a pooler',
      ),
  ])
}

function checkConnections({ connections, maxConnections, tables }: PostgresFacts, shells: Shells): Finding[] {
  const countOf = (name: string) =>
    connections.filter(({ application }) => application === name).reduce((sum, { count }) => sum + count, 0)
  const open = connections.reduce((sum, { count }) => sum + count, 0)
  const [accepting, asking] = [countOf(INGEST_APPLICATION), countOf(ASKING_APPLICATION)]
  const [ingest, worker] = [accepting + asking, countOf(WORKER_APPLICATION)]
  const { accepting: forAccepting, asking: forAsking } = CONNECTIONS_OF_INGEST
  const ingests = Math.ceil(Math.max(accepting / forAccepting, asking / forAsking))
  const workers = tables?.workers.filter(({ alive }) => alive).length ?? 0
  const most = open - ingest - worker + ingests * (forAccepting + forAsking) + Math.max(worker, workers * OF_WORKER)
  const fix = runSql(shells, `ALTER SYSTEM SET max_connections = ${Math.max(100, 2 * most)}`).concat(
    '   # then restart Postgres',
  )
  const use = `${open} of ${maxConnections} connections are open (ingest ${ingest}, workers ${worker})`
  return findings('postgres connections', use, [
    most > maxConnections
      ? error(`${use}, and the pools may open ${most}`, fix)
      : most > 0.8 * maxConnections && warning(`${use}, and the pools may open ${most}: few are left`, fix),
  ])
}

function checkRoles({ blindRoles, superusers, role }: PostgresFacts, shells: Shells): Finding[] {
  return findings('postgres roles', `${role} is an ordinary role; workers can see the transactions of ingest`, [
    ...superusers.map((superuser) =>
      error(
        `${superuser} is a superuser: a leaked DATABASE_URL, or a handler, could run programs as the account of Postgres`,
        'use an ordinary role in DATABASE_URL: docs/operating.md, Roles',
      ),
    ),
    ...blindRoles.map((blind) =>
      error(
        `${blind} cannot see the transactions of ingest's role: workers with this role wait until they end, and write no ticks, so windows and joins do not go on without later events`,
        runSql(shells, `GRANT pg_read_all_stats TO "${blind}"`),
      ),
    ),
  ])
}

function checkTransactions({ oldTransactions }: PostgresFacts, shells: Shells): Finding[] {
  return findings(
    'postgres transactions',
    'none is older than a minute',
    oldTransactions.map(({ who, seconds, end }): Problem => {
      const message = `${who} has had a transaction open for ${span(seconds)}: vacuum cannot clean up behind it`
      return warning(message, runSql(shells, end))
    }),
  )
}

function checkSlots({ idleSlots }: PostgresFacts, shells: Shells): Finding[] {
  return findings(
    'postgres replication slots',
    'no idle slot',
    idleSlots
      .filter(({ bytes }) => bytes > GIBIBYTE)
      .map(({ name, bytes }) =>
        warning(
          `the slot ${name} has no reader, and keeps ${megabytes(bytes)} of the write-ahead log`,
          runSql(shells, `SELECT pg_drop_replication_slot('${name}')`),
        ),
      ),
  )
}

function walOf({ walBytes }: PostgresFacts): string {
  return walBytes === undefined ? '' : `, its write-ahead log ${megabytes(walBytes)}`
}
