/** Checks of the pipeline: its tables, workers and streams. */
import type { StreamFacts } from '@eventflow/redis'
import { span } from '../table.js'
import { checkGroups } from './check-groups.js'
import type { PostgresFacts } from './facts.js'
import { error, type Finding, findings, runSql, type Shells, warning } from './finding.js'

const START_A_WORKER = 'node apps/worker/dist/main.js'
const DAY_SECONDS = 86_400

export function checkTables({ migrations, tables, owner }: PostgresFacts, shells: Shells): Finding[] {
  return [
    ...findings('migrations', 'up to date', [
      migrations.missing.length > 0 && error(`not applied: ${migrations.missing.join(', ')}`, 'npx eventflow migrate'),
      migrations.unknown.length > 0 &&
        error(
          `a newer version of EventFlow has applied ${migrations.unknown.join(', ')} to this database`,
          'install that version here too',
        ),
    ]),
    ...(tables
      ? [
          ...checkIndexes(tables, owner, shells),
          ...checkParts(tables),
          ...checkWorkers(tables, shells),
          ...checkOwners(tables),
          ...checkGroups(tables),
        ]
      : []),
  ]
}

type Tables = NonNullable<PostgresFacts['tables']>

function checkIndexes({ missingIndexes, reach }: Tables, owner: string | undefined, shells: Shells): Finding[] {
  // The conversion makes the missing ones itself; one that was made by hand would stop it.
  if (!reach) return findings('indexes', 'checked when the tables are in parts', [])
  const becomeOwner = owner ? [`SET ROLE "${owner}"`] : []
  return findings(
    'indexes',
    'complete',
    missingIndexes.map(({ name, make }) =>
      error(
        `${name} is missing or invalid, so statements scan whole tables`,
        runSql(shells, ...becomeOwner, ...make.split('; ')),
      ),
    ),
  )
}

function checkWorkers({ workers }: Tables, shells: Shells): Finding[] {
  const alive = workers.filter((worker) => worker.alive)
  const forgotten = workers.filter(({ silentSeconds }) => silentSeconds > DAY_SECONDS)
  return findings('workers', `${alive.length} alive`, [
    alive.length === 0 && error('no worker is running: events are accepted but not settled', START_A_WORKER),
    ...workers
      .filter(({ rival }) => rival !== null)
      .map(({ id, host, pid, rival }) =>
        warning(
          `two workers have the id ${id}: process ${pid} on ${host} works, process ${rival!.pid} on ${rival!.host} is idle`,
          'give each worker a unique EVENTFLOW_WORKER_ID, or leave it unset, and restart the idle one',
        ),
      ),
    forgotten.length > 0 &&
      warning(
        `dead for long: ${forgotten.map(({ id, silentSeconds }) => `${id} (${span(silentSeconds)})`).join(', ')}`,
        runSql(shells, `DELETE FROM workers WHERE heartbeat_at < now() - interval '1 day'`),
      ),
  ])
}

/** If no worker is alive, another finding says so. */
function checkOwners({ ownership: { partitions, workers } }: Tables): Finding[] {
  const free = partitions.filter((partition) => partition.free).map(({ id }) => id)
  return findings('partitions', `${partitions.length}, each with an owner`, [
    free.length > 0 &&
      workers.length > 0 &&
      warning(
        `without an owner: ${free.join(', ')}. This is normal for some seconds after a start, stop or crash`,
        'npx eventflow workers   # if it persists, restart the worker with the fewest partitions',
      ),
  ])
}

/** Until no process of the previous version is left, the tables are not in parts. */
function checkParts({ reach }: Tables): Finding[] {
  const ahead = reach?.ahead ?? 0
  const fix = 'restart ingest or a worker: each makes parts. If its log says that it cannot, the reason is there'
  return findings('parts', reach ? `parts of the ledger ahead: ${ahead}` : 'the tables are not yet in parts', [
    reach !== undefined &&
      ahead === 0 &&
      error('the ledger has no part ahead: when the current one is full, events will be answered 503', fix),
  ])
}

/** Checks the streams. `strangers` are the keys of streams that have events of another database. */
export function checkStreams(streams: readonly StreamFacts[], strangers: readonly string[], shells: Shells): Finding[] {
  const entries = streams.reduce((sum, { length }) => sum + length, 0)
  const { redisCli } = shells
  return findings('streams', `${streams.length} streams with ${entries} entries, each with a group`, [
    ...streams
      .filter(({ groupAt, length }) => groupAt === undefined && length > 0)
      .map(({ key, length }) =>
        error(
          `${key} has ${length} entries but no group, so no worker reads it. The owner of the partition creates the group`,
          START_A_WORKER,
        ),
      ),
    ...streams
      .filter(({ groupAt, lastId }) => groupAt !== undefined && isAfter(groupAt, lastId))
      .map(({ key, groupAt, lastId }) =>
        error(
          `the group of ${key} is at ${groupAt}, beyond the last entry ${lastId}: new entries may not be delivered`,
          `${redisCli} XGROUP SETID '${key}' eventflow 0`,
        ),
      ),
    ...strangers.map((key) =>
      error(
        `${key} holds events of another database: Postgres was restored from a backup, or two installations share a prefix`,
        'npx eventflow doctor --restored   # after a restore; workers then remove these events. Otherwise give each installation its own EVENTFLOW_STREAM_PREFIX',
      ),
    ),
  ])
}

/** Ids of entries are `milliseconds-number`. */
function isAfter(a: string, b: string): boolean {
  const [aMs = 0, aSeq = 0] = a.split('-').map(Number)
  const [bMs = 0, bSeq = 0] = b.split('-').map(Number)
  return aMs > bMs || (aMs === bMs && aSeq > bSeq)
}
