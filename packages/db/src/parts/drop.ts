/**
 * Dropping the oldest parts when they have no rows any more. Parts are dropped from the lower end only: then the parts
 * cover every seq from `ledger.first_seq` on, and an event that is settled late always has a place.
 *
 * First `first_seq` is raised beyond the part: from then on nothing is settled below it. Only then is the part detached
 * and dropped, in steps of which each may be the last one before a crash; the next round continues.
 */
import { type Kysely, sql } from 'kysely'
import { DIVIDED, leafOf, type PartRange } from '../server/to-parts.js'

/**
 * Drops the oldest parts that are empty. Resolves with them. Rejects with 55P03 if others use a part: try again later.
 */
export async function dropEmptyParts(db: Kysely<unknown>): Promise<PartRange[]> {
  const dropped: PartRange[] = []
  for (;;) {
    for (const range of await readRetired(db)) {
      const { part } = range
      for (const table of DIVIDED) await dropLeaf(db, table, leafOf(table, part))
      await sql`UPDATE ledger_parts SET dropped_at = now() WHERE part = ${part}`.execute(db)
      dropped.push(range)
    }
    if (!(await retireOldest(db))) return dropped
  }
}

/**
 * Raises `first_seq` beyond the oldest part if it was emptied and nothing is left or comes back into it. Resolves with
 * whether it did.
 */
function retireOldest(db: Kysely<unknown>): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ part: number; until: string }>`
      SELECT part, until_seq AS until FROM (
        SELECT * FROM ledger_parts WHERE dropped_at IS NULL ORDER BY from_seq LIMIT 1) oldest
      WHERE emptied_at IS NOT NULL AND coalesce(kept_until, '-infinity') < now()`.execute(tx)
    const [oldest] = rows
    if (!oldest) return false
    if (await hasRows(tx, oldest.part)) return false
    // An INSERT may have drawn seqs of the part and not have reached it yet. It has locked `raw_events` before.
    await sql`LOCK TABLE ONLY raw_events IN SHARE MODE`.execute(tx)
    // What uses the part now may still bring a row back.
    const [raw, processed] = DIVIDED.map((table) => sql.table(leafOf(table, oldest.part)))
    await sql`LOCK TABLE ${raw}, ${processed} IN ACCESS EXCLUSIVE MODE`.execute(tx)
    if (await hasRows(tx, oldest.part)) return false
    await sql`UPDATE ledger SET first_seq = ${oldest.until}`.execute(tx)
    return true
  })
}

async function hasRows(db: Kysely<unknown>, part: number): Promise<boolean> {
  const [raw, processed] = DIVIDED.map((table) => sql.table(leafOf(table, part)))
  const { rows } = await sql<{ some: boolean }>`
    SELECT EXISTS (SELECT FROM ${raw}) OR EXISTS (SELECT FROM ${processed}) AS some`.execute(db)
  return rows[0]!.some
}

/** The parts below `first_seq` that are not dropped yet. */
async function readRetired(db: Kysely<unknown>): Promise<PartRange[]> {
  const { rows } = await sql<{ part: number; from: string; until: string }>`
    SELECT part, from_seq AS from, until_seq AS until FROM ledger_parts
    WHERE dropped_at IS NULL AND until_seq <= (SELECT first_seq FROM ledger) ORDER BY from_seq`.execute(db)
  return rows.map(({ part, from, until }) => ({ part, from: Number(from), until: Number(until) }))
}

/**
 * Detaches and drops the table of a part or a bucket, from any state in which an earlier attempt may have left it.
 * Waits for the statements that still use it, and holds up no others. Call it outside a transaction.
 */
export async function dropLeaf(db: Kysely<unknown>, table: string, leaf: string): Promise<void> {
  const { rows } = await sql<{ attached: boolean; detaching: boolean }>`
    SELECT i.inhrelid IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS detaching
    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.oid = to_regclass(${leaf})`.execute(db)
  const [found] = rows
  if (!found) return
  const how = sql.raw(found.detaching ? 'FINALIZE' : 'CONCURRENTLY')
  if (found.attached) await sql`ALTER TABLE ${sql.table(table)} DETACH PARTITION ${sql.table(leaf)} ${how}`.execute(db)
  await sql`DROP TABLE ${sql.table(leaf)}`.execute(db)
}
