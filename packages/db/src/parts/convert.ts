/**
 * Converts the ledger of an installation with events, while it runs. Migration 0014 has made the new tables, and
 * triggers that keep them while processes of the previous version write. Then
 *
 * - `finishExpansion` makes the indexes of the new statements and copies the ids of the former events. Processes of the
 *   previous version go on meanwhile; those of this version wait for it. An interrupted one is continued.
 * - `contract` turns the tables into parts, once no process of the previous version is left.
 *
 * Until then both work beside each other on the former tables.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { asOwner } from '../server/as-owner.js'
import type { Queryable } from '../server/connect.js'
import { isLockInTheWay } from '../server/sql-errors.js'
import { DIVIDED, FIRST_BUCKET, LEDGER_VERSION, leafOf, MIN_PART_EVENTS, toParts } from '../server/to-parts.js'

/** How far an installation is with the conversion. `parts`: it is converted, or never had to be. */
export type Stage = 'expanding' | 'expanded' | 'parts'

/** Resolves with the stage of the conversion. */
export async function readStage(db: Queryable): Promise<Stage> {
  const { rows } = await db.query('SELECT stage FROM ledger')
  return rows[0].stage
}

/** Seqs whose ids are copied by one statement, which takes about half a second. */
const BATCH = 100_000

/** How long to pause when a lock is not free, or another process expands, in milliseconds. */
const PAUSE_MS = 1_000

interface Expansion {
  /** Called with a text whenever there is progress. */
  onProgress?: (message: string) => void
  /** How many seqs one statement copies. */
  batch?: number
}

/**
 * Finishes the expansion that migration 0014 began, if it is not finished. While another process does that, it waits.
 * Call it after `migrate`, and before the process reads or writes events. Rejects if Postgres is away; the next call
 * continues.
 */
export function finishExpansion(url: string, { onProgress = () => {}, batch = BATCH }: Expansion = {}): Promise<void> {
  return asOwner(url, async (db) => {
    while ((await stateOf(db)).stage === 'expanding') {
      if (await tryLock(db)) {
        await expand(db, { onProgress, batch })
        return
      }
      onProgress(`another process prepares the tables: ${progressOf(await stateOf(db))}`)
      await delay(PAUSE_MS)
    }
  })
}

/** The state of the copy: the ids of the events up to `copied` are copied, out of those up to `last`. */
interface State {
  stage: Stage
  copied: number
  last: number
}

async function stateOf(db: Kysely<unknown>): Promise<State> {
  const { rows } = await sql<{ stage: Stage; copied: string; last: string }>`
    SELECT stage, copied_seq AS copied, former_seq AS last FROM ledger`.execute(db)
  const { stage, copied, last } = rows[0]!
  return { stage, copied: Number(copied), last: Number(last) }
}

const progressOf = ({ copied, last }: State) =>
  `copying the ids of events: ${copied.toLocaleString('en')} of ${last.toLocaleString('en')}`

async function tryLock(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ free: boolean }>`SELECT pg_try_advisory_lock(${ADVISORY_LOCKS.parts}) AS free`.execute(
    db,
  )
  return rows[0]!.free
}

async function expand(db: Kysely<unknown>, { onProgress, batch }: Required<Expansion>): Promise<void> {
  // None of this blocks a reader or writer, so it waits for its locks however long that takes.
  await sql`SET lock_timeout = 0`.execute(db)
  // An event that is removed while its id is being copied would leave the id behind.
  await sql`SELECT pg_advisory_lock(${ADVISORY_LOCKS.retention})`.execute(db)
  await makeIndex(db, 'raw_events_by_seq', sql`UNIQUE`, sql`raw_events (partition, seq)`, onProgress)
  await makeIndex(db, 'processed_events_by_seq', sql`UNIQUE`, sql`processed_events (seq)`, onProgress)
  await makeIndex(db, 'processed_events_position', sql``, sql`processed_events (partition, position)`, onProgress)
  await copyIds(db, { onProgress, batch })
  await joinFormerIds(db, onProgress)
  for (const table of DIVIDED) {
    onProgress(`checking ${table}`)
    await sql`ALTER TABLE ${sql.table(table)} VALIDATE CONSTRAINT in_part`.execute(db)
  }
  await sql`UPDATE ledger SET stage = 'expanded', expanded_at = now() WHERE stage = 'expanding'`.execute(db)
}

type Part = ReturnType<typeof sql>

/** An interrupted build leaves an invalid index. */
async function makeIndex(
  db: Kysely<unknown>,
  name: string,
  unique: Part,
  columns: Part,
  onProgress: (message: string) => void,
): Promise<void> {
  const { rows } = await sql<{ valid: boolean }>`
    SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass(${name})`.execute(db)
  if (rows[0]?.valid) return
  onProgress(`building the index ${name}`)
  if (rows[0]) await sql`DROP INDEX CONCURRENTLY ${sql.id(name)}`.execute(db)
  await sql`CREATE ${unique} INDEX CONCURRENTLY ${sql.id(name)} ON ${columns}`.execute(db)
}

const FORMER_IDS = leafOf('event_ids', FIRST_BUCKET)

/** Copies the ids of the events up to `ledger.former_seq`. The copied ids and `copied_seq` change together. */
async function copyIds(db: Kysely<unknown>, { onProgress, batch }: Required<Expansion>): Promise<void> {
  const state = await stateOf(db)
  while (state.copied < state.last) {
    const after = state.copied
    const first = await firstSeqAbove(db, after)
    const until = first === undefined ? state.last : Math.min(state.last, first - 1 + batch)
    await sql`
      WITH moved AS (UPDATE ledger SET copied_seq = ${until} WHERE copied_seq = ${after} RETURNING true)
      INSERT INTO ${sql.table(FORMER_IDS)} (tenant_id, event_id, bucket, seq, partition)
      SELECT e.tenant_id, e.event_id, ${sql.lit(FIRST_BUCKET)}, e.seq, e.partition
      FROM moved CROSS JOIN partitions
      CROSS JOIN LATERAL (SELECT * FROM raw_events WHERE partition = partitions.id AND seq > ${after} AND seq <= ${until}) e
      `.execute(db)
    state.copied = until
    onProgress(progressOf(state))
  }
}

async function firstSeqAbove(db: Kysely<unknown>, seq: number): Promise<number | undefined> {
  const { rows } = await sql<{ first: string | null }>`
    SELECT min(e.seq) AS first FROM partitions
    CROSS JOIN LATERAL (SELECT seq FROM raw_events WHERE partition = partitions.id AND seq > ${seq} ORDER BY seq LIMIT 1) e
    `.execute(db)
  return rows[0]!.first === null ? undefined : Number(rows[0]!.first)
}

/** An index that is built at the end takes a fraction of the time that it would take to keep it meanwhile. */
async function joinFormerIds(db: Kysely<unknown>, onProgress: (message: string) => void): Promise<void> {
  const { rows } = await sql<{ joined: boolean }>`
    SELECT relispartition AS joined FROM pg_class WHERE oid = ${FORMER_IDS}::regclass`.execute(db)
  if (rows[0]!.joined) return
  onProgress('building the index of the ids')
  await db.transaction().execute(async (tx) => {
    const former = sql.table(FORMER_IDS)
    await sql`ALTER TABLE ${former} ADD PRIMARY KEY (tenant_id, event_id, bucket)`.execute(tx)
    await sql`ALTER TABLE event_ids ATTACH PARTITION ${former} FOR VALUES IN (${sql.lit(FIRST_BUCKET)})`.execute(tx)
  })
  await sql`ANALYZE ${sql.table(FORMER_IDS)}`.execute(db)
}

/** How long the figures must have shown no process of the previous version, in seconds. */
const SILENT_S = 60

// After a start of Postgres the figures may be gone, until all processes have told theirs again.
const MAY_CONTRACT = (silentSeconds: number) => `
  WITH recent AS (
    SELECT process, coalesce((figures->>'ledger')::integer >= ${LEDGER_VERSION}, false) AS knows
    FROM process_figures WHERE told_at > now() - ${silentSeconds} * interval '1 second')
  SELECT stage = 'expanded'
         AND greatest(expanded_at, pg_postmaster_start_time()) < now() - ${silentSeconds} * interval '1 second'
         AND (SELECT coalesce(bool_and(knows), false) FROM recent)
         AND NOT EXISTS (SELECT FROM workers WHERE heartbeat_at > now() - lease_ms * interval '1 millisecond'
                           AND worker_id NOT IN (SELECT process FROM recent)) AS may
  FROM ledger`

/**
 * Resolves with whether `contract` may convert the tables: the expansion is finished, and no process of the previous
 * version is left. All processes that have told figures within a minute must have told that they know the parts, and
 * all workers that are alive must be among them.
 */
export async function mayContract(db: Queryable, { silentSeconds = SILENT_S } = {}): Promise<boolean> {
  const { rows } = await db.query(MAY_CONTRACT(silentSeconds))
  return rows[0].may
}

/**
 * Turns the former tables into the first part, if `mayContract`. New parts have `partEvents` seqs. Resolves with
 * whether it did; if not, call it again later. The reason may also be that another session holds a lock on the tables,
 * for example a dump: then it has waited for a fraction of a second.
 *
 * A process of the previous version that was silent all that time finds the sequence of its INSERT gone: it fails, and
 * stores nothing.
 */
export async function contract(
  url: string,
  { partEvents = MIN_PART_EVENTS, silentSeconds = SILENT_S } = {},
): Promise<boolean> {
  try {
    return await asOwner(url, (db) =>
      db.transaction().execute(async (tx) => {
        const { rows: locks } = await sql<{ free: boolean }>`
          SELECT pg_try_advisory_xact_lock(${ADVISORY_LOCKS.parts}) AS free`.execute(tx)
        if (!locks[0]!.free) return false
        const { rows } = await sql.raw<{ may: boolean }>(MAY_CONTRACT(silentSeconds)).execute(tx)
        if (!rows[0]!.may) return false
        await toParts(tx, { partEvents, inUse: true })
        return true
      }),
    )
  } catch (error) {
    if (isLockInTheWay(error)) return false
    throw error
  }
}
