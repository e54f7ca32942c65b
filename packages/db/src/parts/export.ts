/**
 * Reading a part of the ledger row by row, to copy it away. Each value is the text in which Postgres writes it, so that
 * payloads keep every letter, numbers every digit and times their microseconds.
 */
import { type Kysely, sql } from 'kysely'
import { asOwner } from '../server/as-owner.js'
import { type Db, withTransaction } from '../server/connect.js'
import { DIVIDED, leafOf, type PartRange } from '../server/to-parts.js'
import { type Column, columnsOf } from './columns.js'
import { IS_BEING_DROPPED, IS_BELOW_WATERMARKS, IS_CLOSED } from './part-list.js'

/** The tables of which a part is archived. */
export const ARCHIVED_TABLES = ['raw_events', 'processed_events', 'failed_events'] as const

export type ArchivedTable = (typeof ARCHIVED_TABLES)[number]

/** A part as it is read. */
export interface PartExport extends PartRange {
  /** Identifies the installation; a copy of its database has the same. */
  installation: string
  /** The version of the server. */
  postgres: string
  columns: Record<ArchivedTable, Column[]>
  /** The rows of a table as JSON objects, a few at a time. Each value is a string, or null. */
  rows(table: ArchivedTable): AsyncIterable<string[]>
}

/** The part cannot be copied away: the message says why. */
export class NotArchivableError extends Error {
  override name = 'NotArchivableError'
}

/** Rows that are in memory at a time. An event has at most a mebibyte of data. */
const AT_ONCE = 100

/** The part may be about to be emptied; then the reader waits, in milliseconds. */
const LOCK_TIMEOUT_MS = 10_000

/**
 * Reads a part, in one snapshot. Retention cannot empty it meanwhile. Resolves with the result of `use`. Rejects with
 * NotArchivableError if there is no such part, or if it may still change by new events.
 */
export function exportPart<Result>(
  url: string,
  part: number,
  use: (part: PartExport) => Promise<Result>,
): Promise<Result> {
  return asOwner(url, async (db) => {
    await findPart(db, part)
    await waitForInserts(db)
    const range = await findPart(db, part)
    return db
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (tx) => {
        await sql`SET LOCAL lock_timeout = ${sql.lit(LOCK_TIMEOUT_MS)}`.execute(tx)
        // Before the snapshot: TRUNCATE would empty the tables for a snapshot from before it, too.
        const leaves = DIVIDED.map((table) => sql.table(leafOf(table, part)))
        await sql`LOCK TABLE ${sql.join(leaves)} IN ACCESS SHARE MODE`.execute(tx)
        await sql`SET LOCAL TimeZone = 'UTC'`.execute(tx)
        await sql`SET LOCAL DateStyle = 'ISO'`.execute(tx)
        const { rows } = await sql<{ installation: string; postgres: string }>`
          SELECT installation, current_setting('server_version') AS postgres FROM ledger`.execute(tx)
        const columns = Object.fromEntries(
          await Promise.all(ARCHIVED_TABLES.map(async (table) => [table, await columnsOf(tx, table)] as const)),
        ) as PartExport['columns']
        return use({ ...range, ...rows[0]!, columns, rows: (table) => readRows(tx, table, columns[table], range) })
      })
  })
}

async function findPart(db: Kysely<unknown>, part: number): Promise<PartRange> {
  const { rows } = await sql<{ from: string; until: string; closed: boolean; settled: boolean }>`
    SELECT l.from_seq AS from, l.until_seq AS until, ${sql.raw(IS_CLOSED)} AS closed, ${sql.raw(IS_BELOW_WATERMARKS)} AS settled
    FROM ledger_parts l
    WHERE l.part = ${part} AND l.dropped_at IS NULL AND NOT ${sql.raw(IS_BEING_DROPPED)}`.execute(db)
  const [found] = rows
  if (!found) throw new NotArchivableError(`there is no part ${part}; eventflow parts lists them`)
  if (!found.closed) throw new NotArchivableError(`part ${part} still takes new events`)
  if (!found.settled) throw new NotArchivableError(`part ${part} has events that are not settled yet`)
  return { part, from: Number(found.from), until: Number(found.until) }
}

/** An INSERT may have drawn seqs of a closed part, and not be committed yet. It has locked `raw_events` before. */
async function waitForInserts(db: Kysely<unknown>): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`SET LOCAL lock_timeout = ${sql.lit(LOCK_TIMEOUT_MS)}`.execute(tx)
    await sql`LOCK TABLE ONLY raw_events IN SHARE MODE`.execute(tx)
  })
}

async function* readRows(
  tx: Kysely<unknown>,
  table: ArchivedTable,
  columns: readonly Column[],
  { from, until }: PartRange,
): AsyncGenerator<string[]> {
  const texts = sql.join(columns.map(({ name }) => sql`${sql.id(name)}::text`))
  await sql`
    DECLARE part_rows NO SCROLL CURSOR FOR
    SELECT row_to_json(t)::text AS line FROM (
      SELECT ${texts} FROM ${sql.table(table)} WHERE seq >= ${sql.lit(from)} AND seq < ${sql.lit(until)}) t`.execute(tx)
  for (;;) {
    const { rows } = await sql<{ line: string }>`FETCH ${sql.lit(AT_ONCE)} FROM part_rows`.execute(tx)
    if (rows.length > 0) yield rows.map(({ line }) => line)
    if (rows.length < AT_ONCE) break
  }
  await sql`CLOSE part_rows`.execute(tx)
}

/** Records that a part was copied away. */
export async function recordArchived(db: Db, part: number): Promise<void> {
  await withTransaction(db, (tx) => tx.query('UPDATE ledger_parts SET archived_at = now() WHERE part = $1', [part]))
}
