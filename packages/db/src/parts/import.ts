/**
 * Putting the rows of an archived part back, all or none. Only settled events come back, so nothing is delivered again,
 * and nothing that is there is changed.
 *
 * If the range has no part any more, one is made. It reaches from the lower end of the archived part to the oldest part
 * that exists, because parts must not leave a gap.
 */
import { type Kysely, sql } from 'kysely'
import { SETTLING_STATUSES } from '../ledger/settled.js'
import { attachLeaf, DIVIDED, KEPT_BUCKET, leafOf, makeLeaf, type PartRange } from '../server/to-parts.js'
import { type Column, columnsOf } from './columns.js'
import { ARCHIVED_TABLES, type ArchivedTable } from './export.js'
import { asRetention } from './retire.js'

/** An archived part. */
export interface ArchivedPart extends PartRange {
  installation: string
  tables: Record<
    ArchivedTable,
    { columns: readonly Column[] /** Rows as `exportPart` gives them. */; rows: AsyncIterable<string[]> }
  >
}

/** The result of a restore, in events. */
export interface Imported {
  restored: number
  /** They are in the database already, and were left as they are. */
  present: number
  /** They were not settled when the part was archived, and were left out. */
  unsettled: number
  /** Their ids belong to later events, and they were left out. */
  idsTaken: number
}

/** The part cannot be restored: the message says why. Nothing was changed. */
export class NotRestorableError extends Error {
  override name = 'NotRestorableError'
}

/**
 * Restores an archived part; retention leaves it alone for `keepDays`. Resolves with undefined, with nothing changed,
 * if retention is at work: try again later. Rejects with NotRestorableError if the part does not fit.
 */
export function importPart(url: string, part: ArchivedPart, keepDays: number): Promise<Imported | undefined> {
  return asRetention(url, (db) =>
    db.transaction().execute(async (tx) => {
      await checkFits(tx, part)
      for (const table of ARCHIVED_TABLES) await stage(tx, table, part.tables[table])
      const result = await chooseEvents(tx, part)
      const firstSeq = await readFirstSeq(tx)
      const isMissing = part.from < firstSeq
      if (isMissing) await makeLeaves(tx, part, firstSeq)
      for (const table of DIVIDED) await copyStaged(tx, table, table, sql`s.seq >= ${firstSeq}`)
      await copyStaged(tx, 'failed_events', 'failed_events', sql`s.status <> 'replaying'`)
      // Also if a bucket has the id: it may be about to be dropped. The update keeps `forgetKept` from removing it.
      await sql`
        INSERT INTO event_ids (tenant_id, event_id, bucket, seq, partition)
        SELECT s.tenant_id, s.event_id, ${sql.lit(KEPT_BUCKET)}, s.seq, s.partition
        FROM staged_raw_events s JOIN chosen USING (seq)
        ORDER BY s.tenant_id, s.event_id
        ON CONFLICT (tenant_id, event_id, bucket) DO UPDATE SET seq = excluded.seq`.execute(tx)
      // Last: from here to the end of the transaction, no other part can be made.
      if (isMissing) await addPart(tx, part, firstSeq)
      await sql`
        UPDATE ledger_parts SET emptied_at = NULL, looked_at = NULL,
               kept_until = greatest(kept_until, now() + ${keepDays} * interval '1 day')
        WHERE dropped_at IS NULL AND from_seq < ${part.until} AND until_seq > ${part.from}`.execute(tx)
      return result
    }),
  )
}

async function checkFits(tx: Kysely<unknown>, { part, installation, from, until }: ArchivedPart): Promise<void> {
  const { rows } = await sql<{ own: string; last: string; busy: boolean }>`
    SELECT installation AS own, coalesce(pg_sequence_last_value(sequence::regclass), 0) AS last,
           EXISTS (SELECT FROM ledger_parts WHERE dropped_at IS NULL AND until_seq <= first_seq) AS busy
    FROM ledger`.execute(tx)
  const { own, last, busy } = rows[0]!
  if (own !== installation) {
    throw new NotRestorableError(`part ${part} is from another installation (${installation}); this one is ${own}`)
  }
  if (until > Number(last) + 1) {
    throw new NotRestorableError(
      `part ${part} has events up to seq ${until - 1}, but the database has assigned only ${last}`,
    )
  }
  if (busy) throw new NotRestorableError(`retention is dropping a part: try again in a minute`)
  if (from >= until) throw new NotRestorableError(`part ${part} ends before it begins`)
}

/** Writes the rows of a table into the temporary table `staged_…`. */
async function stage(
  tx: Kysely<unknown>,
  table: ArchivedTable,
  { columns, rows }: ArchivedPart['tables'][ArchivedTable],
): Promise<void> {
  const known = new Map((await columnsOf(tx, table)).map(({ name, type }) => [name, type]))
  const unknown = columns.find(({ name, type }) => known.get(name) !== type)
  if (unknown) throw new NotRestorableError(`${table} has no column ${unknown.name} of type ${unknown.type}`)
  const staged = sql.table(`staged_${table}`)
  const names = sql.join(columns.map(({ name }) => sql.id(name)))
  const values = sql.join(columns.map(({ name, type }) => sql`(line ->> ${sql.lit(name)})::${sql.raw(type)}`))
  await sql`CREATE TEMP TABLE ${staged} (LIKE ${sql.table(table)} INCLUDING DEFAULTS) ON COMMIT DROP`.execute(tx)
  const insert = (lines: readonly string[]) =>
    sql`INSERT INTO ${staged} (${names}) SELECT ${values} FROM unnest(${lines}::json[]) AS given(line)`.execute(tx)
  let before = 0
  for await (const lines of rows) {
    await sql`SAVEPOINT lines`.execute(tx)
    try {
      await insert(lines)
    } catch (error) {
      await sql`ROLLBACK TO SAVEPOINT lines`.execute(tx)
      for (const [i, line] of lines.entries()) {
        await insert([line]).catch(({ message }) => {
          throw new NotRestorableError(`${table}, line ${before + i + 1}: ${message}`)
        })
      }
      throw error
    }
    await sql`RELEASE SAVEPOINT lines`.execute(tx)
    before += lines.length
  }
}

/** Finds the events that come back, in the temporary table `chosen`. */
async function chooseEvents(tx: Kysely<unknown>, { from, until, part }: ArchivedPart): Promise<Imported> {
  for (const table of ARCHIVED_TABLES) {
    const staged = sql.table(`staged_${table}`)
    const { rows } = await sql<{ seq: string }>`
      SELECT seq FROM ${staged} WHERE seq < ${from} OR seq >= ${until} LIMIT 1`.execute(tx)
    if (rows[0])
      throw new NotRestorableError(`${table} has an event with seq ${rows[0].seq}, which is not in part ${part}`)
    await sql`CREATE INDEX ON ${staged} (seq)`.execute(tx)
    await sql`ANALYZE ${staged}`.execute(tx)
  }
  await sql`
    CREATE TEMP TABLE looked ON COMMIT DROP AS
    SELECT s.seq,
           EXISTS (SELECT FROM raw_events r WHERE r.partition = s.partition AND r.seq = s.seq) AS present,
           EXISTS (SELECT FROM staged_processed_events p WHERE p.seq = s.seq)
             OR EXISTS (SELECT FROM staged_failed_events f
                        WHERE f.seq = s.seq AND f.status IN ${sql.raw(SETTLING_STATUSES)}) AS settled,
           EXISTS (SELECT FROM event_ids i
                   WHERE i.tenant_id = s.tenant_id AND i.event_id = s.event_id AND i.seq <> s.seq) AS id_taken
    FROM staged_raw_events s`.execute(tx)
  await sql`
    CREATE TEMP TABLE chosen ON COMMIT DROP AS
    SELECT seq FROM looked WHERE NOT present AND settled AND NOT id_taken`.execute(tx)
  await sql`CREATE UNIQUE INDEX ON chosen (seq)`.execute(tx)
  await sql`ANALYZE chosen`.execute(tx)
  const { rows } = await sql<Record<keyof Imported, string>>`
    SELECT (SELECT count(*) FROM chosen) AS restored, count(*) FILTER (WHERE present) AS present,
           count(*) FILTER (WHERE NOT present AND NOT settled) AS unsettled,
           count(*) FILTER (WHERE NOT present AND settled AND id_taken) AS "idsTaken"
    FROM looked`.execute(tx)
  const { restored, present, unsettled, idsTaken } = rows[0]!
  return {
    restored: Number(restored),
    present: Number(present),
    unsettled: Number(unsettled),
    idsTaken: Number(idsTaken),
  }
}

/** The lower end of the parts. Only retention and a restore move it, and they exclude each other. */
async function readFirstSeq(tx: Kysely<unknown>): Promise<number> {
  // Seqs below the oldest part have none, even before retention has dropped the first.
  const { rows } = await sql<{ first: string }>`
    SELECT greatest(first_seq, (SELECT min(from_seq) FROM ledger_parts WHERE dropped_at IS NULL)) AS first
    FROM ledger`.execute(tx)
  return Number(rows[0]!.first)
}

/** Makes the tables of a part below the oldest one, with the events that come back. */
async function makeLeaves(tx: Kysely<unknown>, { part }: ArchivedPart, until: number): Promise<void> {
  for (const table of DIVIDED) {
    await makeLeaf(tx, table, part)
    await copyStaged(tx, table, leafOf(table, part), sql`s.seq < ${until}`)
  }
}

async function addPart(tx: Kysely<unknown>, { part, from }: ArchivedPart, until: number): Promise<void> {
  for (const table of DIVIDED) await attachLeaf(tx, table, { part, from, until })
  await sql`
    INSERT INTO ledger_parts (part, from_seq, until_seq, archived_at) VALUES (${part}, ${from}, ${until}, now())
    ON CONFLICT (part) DO UPDATE SET from_seq = excluded.from_seq, until_seq = excluded.until_seq, dropped_at = NULL
    `.execute(tx)
  await sql`UPDATE ledger SET first_seq = ${from}`.execute(tx)
}

/** Copies the rows of the chosen events that meet a condition about `s`. */
async function copyStaged(
  tx: Kysely<unknown>,
  table: ArchivedTable,
  into: string,
  condition: ReturnType<typeof sql>,
): Promise<void> {
  const columns = await columnsOf(tx, table)
  const names = sql.join(columns.map(({ name }) => sql.id(name)))
  const values = sql.join(columns.map(({ name }) => sql`s.${sql.id(name)}`))
  await sql`
    INSERT INTO ${sql.table(into)} (${names})
    SELECT ${values} FROM ${sql.table(`staged_${table}`)} s JOIN chosen USING (seq) WHERE ${condition}
    ON CONFLICT DO NOTHING`.execute(tx)
}
