/** Checks of the pipeline: its tables, workers and streams. */
import type { StreamFacts } from '@eventflow/redis'
import { span } from '../table.js'
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
          `the database is of a newer version, which has applied ${migrations.unknown.join(', ')}`,
          'install that version of EventFlow here too',
        ),
    ]),
    ...(tables
      ? [...checkIndexes(tables, owner, shells), ...checkWorkers(tables, shells), ...checkOwners(tables)]
      : []),
  ]
}

type Tables = NonNullable<PostgresFacts['tables']>

function checkIndexes({ missingIndexes }: Tables, owner: string | undefined, shells: Shells): Finding[] {
  const becomeOwner = owner ? [`SET ROLE "${owner}"`] : []
  return findings(
    'indexes',
    'all there',
    missingIndexes.map(({ name, make }) =>
      error(
        `${name} is missing or not valid: statements read whole tables`,
        runSql(shells, ...becomeOwner, ...make.split('; ')),
      ),
    ),
  )
}

function checkWorkers({ workers }: Tables, shells: Shells): Finding[] {
  const alive = workers.filter((worker) => worker.alive)
  const forgotten = workers.filter(({ silentSeconds }) => silentSeconds > DAY_SECONDS)
  return findings('workers', `${alive.length} alive`, [
    alive.length === 0 &&
      error('no worker is alive: events are accepted, and nothing is done with them', START_A_WORKER),
    ...workers
      .filter(({ rival }) => rival !== null)
      .map(({ id, host, pid, rival }) =>
        warning(
          `two workers use the id ${id}: process ${pid} on ${host} works, process ${rival!.pid} on ${rival!.host} does nothing`,
          'give each worker an EVENTFLOW_WORKER_ID of its own, or leave it out, and start the idle one again',
        ),
      ),
    forgotten.length > 0 &&
      warning(
        `long dead: ${forgotten.map(({ id, silentSeconds }) => `${id} (${span(silentSeconds)})`).join(', ')}`,
        runSql(shells, `DELETE FROM workers WHERE heartbeat_at < now() - interval '1 day'`),
      ),
  ])
}

/** If no worker is alive, another finding says so. */
function checkOwners({ ownership: { partitions, workers } }: Tables): Finding[] {
  const free = partitions.filter((partition) => partition.free).map(({ id }) => id)
  return findings('partitions', `${partitions.length}, each with its owner`, [
    free.length > 0 &&
      workers.length > 0 &&
      warning(
        `without an owner: ${free.join(', ')}. For some seconds after a start, a stop or a crash that is as it should be`,
        'npx eventflow workers   # if it stays: restart the worker with the fewest partitions',
      ),
  ])
}

/** Checks the streams. `strangers` are the keys of streams that have events of another database. */
export function checkStreams(streams: readonly StreamFacts[], strangers: readonly string[], shells: Shells): Finding[] {
  const entries = streams.reduce((sum, { length }) => sum + length, 0)
  const { redisCli } = shells
  return findings('streams', `${streams.length} streams with ${entries} entries, each with its group`, [
    ...streams
      .filter(({ groupAt, length }) => groupAt === undefined && length > 0)
      .map(({ key, length }) =>
        error(
          `${key} has ${length} entries and no group: nobody reads it. A worker that owns the partition makes one`,
          START_A_WORKER,
        ),
      ),
    ...streams
      .filter(({ groupAt, lastId }) => groupAt !== undefined && isAfter(groupAt, lastId))
      .map(({ key, groupAt, lastId }) =>
        error(
          `the group of ${key} is at ${groupAt}, beyond its last entry ${lastId}: what is added now may not be delivered`,
          `${redisCli} XGROUP SETID '${key}' eventflow 0`,
        ),
      ),
    ...strangers.map((key) =>
      error(
        `${key} holds events of another database: Postgres was restored from a backup, or two installations share a prefix`,
        `${redisCli} DEL '${key}'   # after a restore. Otherwise set EVENTFLOW_STREAM_PREFIX to a name of its own in one of them`,
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
