/**
 * Folding neighbours that were emptied into one part. A part with an event that is kept cannot be dropped, nor can
 * those after it; but a statement may lock every part, so there must not be many.
 */
import { type Kysely, sql } from 'kysely'
import { attachLeaf, DIVIDED, leafOf, type PartRange } from '../server/to-parts.js'
import { columnsOf } from './columns.js'

/** So many emptied neighbours stay. */
const FEW = 4

/** The most rows and data of neighbours that are folded at a time: to move them, the tables are locked. */
const MOST_ROWS = 10_000
const MOST_BYTES = 32 * 1024 * 1024

/**
 * Folds the first neighbours that are small together, if they are more than a few. Resolves with the part that they
 * became, and their number; undefined if there are none. Rejects with 55P03 if the tables are in use for long: try
 * again later.
 */
export async function foldEmptied(db: Kysely<unknown>): Promise<{ into: PartRange; parts: number } | undefined> {
  for (const run of await readRuns(db)) {
    if (run.length <= FEW) continue
    const group = await findSmall(db, run)
    if (group) return { into: await fold(db, group), parts: group.length }
  }
  return undefined
}

/** The parts that were emptied, as runs of neighbours. */
async function readRuns(db: Kysely<unknown>): Promise<PartRange[][]> {
  const { rows } = await sql<{ part: number; from: string; until: string; emptied: boolean }>`
    SELECT part, from_seq AS from, until_seq AS until,
           emptied_at IS NOT NULL AND coalesce(kept_until, '-infinity') < now() AS emptied
    FROM ledger_parts WHERE dropped_at IS NULL ORDER BY from_seq`.execute(db)
  const runs: PartRange[][] = [[]]
  for (const { part, from, until, emptied } of rows) {
    if (emptied) runs.at(-1)!.push({ part, from: Number(from), until: Number(until) })
    else runs.push([])
  }
  return runs
}

/** Finds the first more than few neighbours that are small together, as many as are. */
async function findSmall(db: Kysely<unknown>, run: readonly PartRange[]): Promise<PartRange[] | undefined> {
  let group: PartRange[] = []
  let size = { rows: 0, bytes: 0 }
  for (const part of run) {
    const own = await sizeOf(db, part)
    const together = { rows: size.rows + own.rows, bytes: size.bytes + own.bytes }
    if (together.rows <= MOST_ROWS && together.bytes <= MOST_BYTES) {
      group.push(part)
      size = together
    } else {
      if (group.length > FEW) break
      group = [part]
      size = own
    }
  }
  return group.length > FEW ? group : undefined
}

async function sizeOf(db: Kysely<unknown>, { part }: PartRange): Promise<{ rows: number; bytes: number }> {
  const [raw, processed] = DIVIDED.map((table) => leafOf(table, part)) as [string, string]
  const found = await sql<{ rows: string; bytes: string }>`
    SELECT (SELECT count(*) FROM ${sql.table(raw)}) + (SELECT count(*) FROM ${sql.table(processed)}) AS rows,
           pg_table_size(${raw}) + pg_table_size(${processed}) AS bytes`.execute(db)
  return { rows: Number(found.rows[0]!.rows), bytes: Number(found.rows[0]!.bytes) }
}

function fold(db: Kysely<unknown>, run: readonly PartRange[]): Promise<PartRange> {
  const [first, ...others] = run as [PartRange, ...PartRange[]]
  const into = { ...first, until: run.at(-1)!.until }
  return db.transaction().execute(async (tx) => {
    await sql`LOCK TABLE ONLY raw_events, ONLY processed_events IN ACCESS EXCLUSIVE MODE`.execute(tx)
    for (const table of DIVIDED) {
      const columns = sql.join((await columnsOf(tx, table)).map(({ name }) => sql.id(name)))
      const leaf = sql.table(leafOf(table, first.part))
      for (const { part } of run) {
        await sql`ALTER TABLE ${sql.table(table)} DETACH PARTITION ${sql.table(leafOf(table, part))}`.execute(tx)
      }
      for (const { part } of others) {
        const other = sql.table(leafOf(table, part))
        await sql`INSERT INTO ${leaf} (${columns}) SELECT ${columns} FROM ${other}`.execute(tx)
        await sql`DROP TABLE ${other}`.execute(tx)
      }
      await attachLeaf(tx, table, into)
    }
    await sql`UPDATE ledger_parts SET dropped_at = now() WHERE part = ANY(${others.map(({ part }) => part)})`.execute(
      tx,
    )
    await sql`UPDATE ledger_parts SET until_seq = ${into.until} WHERE part = ${into.part}`.execute(tx)
    return into
  })
}
