/** What the checker observes in the database once a run is over: the rows are read in order. */
import type { Db } from '@eventflow/db'
import { type Redis, readDepths } from '@eventflow/redis'
import { type Checker, createChecker } from './checker.js'
import { eachRow } from './each-row.js'
import { JOINED } from './fault-joins.js'
import { WINDOWED } from './fault-windows.js'
import { readJournal } from './journal.js'
import { readJoins, readWindows } from './read-windows.js'
import type { Verdict } from './verdict.js'
import { everIn } from './watch.js'

/** The events of windows and joins are checked apart from the others: no event that was sent led to them alone. */
const NOT_WINDOWED = `type <> ALL('{${[WINDOWED, ...JOINED]}}')`

/** The attempt number of a replay in a history. */
const REPLAY = 0

/**
 * Reads a tenant's journal, its rows, and what belongs to no tenant: owners and writes, and Redis. Then it decides.
 * Everything must have been drained, or have had enough time to. `knownMs`: see `createChecker`.
 */
export async function checkHistory(
  journalFile: string,
  db: Db,
  redis: Redis,
  prefix: string,
  { tenantId = 'default', knownMs }: { tenantId?: string; knownMs?: number } = {},
): Promise<Verdict> {
  const checker = createChecker(knownMs)
  for await (const attempt of readJournal(journalFile)) checker.attempt(attempt)
  await readHistory(checker, db, redis, prefix, tenantId)
  return checker.verdict()
}

/** Gives a checker that already has the journal the rows of a tenant, and what belongs to no tenant. */
export async function readHistory(
  checker: Checker,
  db: Db,
  redis: Redis,
  prefix: string,
  tenantId = 'default',
): Promise<void> {
  await readTenant(checker, db, tenantId)
  await readPipeline(checker, db)
  const depths = await readDepths(redis, prefix, 16)
  for (const { partition, length, pending } of depths) {
    checker.remains(`entries in the stream of partition ${partition}`, length)
    checker.remains(`pending entries of partition ${partition}`, pending)
  }
}

async function readTenant(checker: Checker, db: Db, tenantId: string): Promise<void> {
  const bySeq = { column: 'seq', type: 'bigint', tenantId }
  const ms = (time: string) => `extract(epoch FROM ${time})::float8 * 1000`
  await eachRow(
    db,
    `SELECT seq AS cursor, event_id, ${ms('accepted_at')} AS at, ${ms('removed_at')} AS removed_at,
            CASE WHEN type = 'fault.derived' THEN jsonb_build_object('seq', seq, 'key', key, 'cause', causation_id) END AS derived
     FROM ${everIn('raw_events', NOT_WINDOWED)}`,
    bySeq,
    (row) =>
      checker.accepted({
        ...{ id: row.event_id, at: row.at },
        ...(row.removed_at && { removedAt: row.removed_at }),
        ...(row.derived && { derived: row.derived }),
      }),
  )
  for (const id of await skippedBy(db, tenantId)) checker.skipped(id)
  const ended = (table: 'processed_events' | 'failed_events', end: string, errorClass: string) =>
    eachRow(
      db,
      `SELECT seq AS cursor, event_id, ${end} AS "end", attempts, ${errorClass} AS error_class, history
       FROM ${everIn(table, NOT_WINDOWED)}`,
      bySeq,
      (row) => {
        const history: { attempt: number }[] = row.history ?? []
        const replay = history.findLastIndex(({ attempt }) => attempt === REPLAY)
        checker.ended({
          ...{ id: row.event_id, end: row.end, attempts: row.attempts },
          ...{ failures: history.length - replay - 1, again: replay >= 0 },
          ...(row.error_class && { errorClass: row.error_class }),
        })
      },
    )
  await ended('processed_events', `'processed'`, 'NULL')
  const end = `CASE WHEN status IN ('replaying', 'replayed') THEN status ELSE 'dead' END`
  await ended('failed_events', end, `error_class || ': ' || message`)
  const byTime = { column: 'at', type: 'bigint', tenantId }
  await eachRow(db, 'SELECT at AS cursor, event_id, key, n FROM effects', byTime, (row) =>
    checker.effect({ at: row.cursor, id: row.event_id, key: row.key, n: row.n }),
  )
  const byKey = { column: 'key', type: 'text', tenantId }
  await eachRow(db, 'SELECT key AS cursor, count, sum FROM totals', byKey, (row) =>
    checker.total({ key: row.cursor, count: row.count, sum: row.sum }),
  )
  await readGroups(checker, db, tenantId)
  await readWindows(db, tenantId, checker.window)
  await readJoins(db, tenantId, checker.join)
}

/** Reads the log, and what the consumer groups of the fault tests have made of it. */
async function readGroups(checker: Checker, db: Db, tenantId: string): Promise<void> {
  await eachRow(
    db,
    `SELECT seq AS cursor, event_id, key, partition, position, type = 'fault.leading' AS is_leading, unread
     FROM ${everIn('processed_events', NOT_WINDOWED)}`,
    { column: 'seq', type: 'bigint', tenantId },
    ({ cursor: seq, event_id: id, is_leading: isLeading, ...row }) => checker.entry({ ...row, seq, id, isLeading }),
  )
  await eachRow(
    db,
    'SELECT at AS cursor, seq, event_id, key, partition FROM group_effects',
    { column: 'at', type: 'bigint', tenantId },
    ({ cursor: at, event_id: id, ...row }) => checker.groupEffect({ ...row, at, id }),
  )
  const { rows } = await db.query(
    `SELECT seq, name AS group, status, error_class || ': ' || message AS message
     FROM group_dead_letters d JOIN consumer_groups g USING (group_id) WHERE d.tenant_id = $1`,
    [tenantId],
  )
  for (const row of rows) checker.groupLetter(row)
}

/** The events that operators have skipped, by the audit log. */
async function skippedBy(db: Db, tenantId: string): Promise<string[]> {
  const { rows } = await db.query(
    `SELECT jsonb_array_elements_text(filter->'ids') AS id FROM audit_log WHERE action = 'skip' AND tenant_id = $1`,
    [tenantId],
  )
  return rows.map(({ id }) => id)
}

async function readPipeline(checker: Checker, db: Db): Promise<void> {
  const byTime = { column: 'at', type: 'bigint' }
  await eachRow(db, 'SELECT at AS cursor, partition, owner, epoch FROM watched_owners', byTime, (row) =>
    checker.owner(row),
  )
  const writes = 'SELECT at AS cursor, partition, worker, owner, epoch, stale FROM watched_writes'
  await eachRow(db, writes, byTime, (row) => checker.write(row))
  const { rows } = await db.query(`
    SELECT (SELECT count(*) FROM retries) AS retries, (SELECT count(*) FROM group_parked) AS parked,
           (SELECT count(*) FROM consumer_groups WHERE paused_for IS NOT NULL) AS paused`)
  checker.remains('rows in retries', rows[0].retries)
  checker.remains('events that consumer groups have parked', rows[0].parked)
  checker.remains('consumer groups that are paused', rows[0].paused)
}
