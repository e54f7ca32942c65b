/**
 * The positions of processed events come from one sequence. A row for each partition, updated by each settling
 * transaction, cost over a quarter of its instructions.
 */
import { type Kysely, sql } from 'kysely'
import { copyRights } from '../to-parts.js'

export async function logPosition(db: Kysely<unknown>): Promise<void> {
  // A worker that runs meanwhile must draw nothing after this was read.
  await sql`LOCK TABLE log_heads IN ACCESS EXCLUSIVE MODE`.execute(db)
  await sql`CREATE SEQUENCE log_position`.execute(db)
  await sql`SELECT setval('log_position', max(next_position), false) FROM log_heads`.execute(db)
  const { rows } = await sql<{ sequence: string }>`SELECT sequence FROM ledger`.execute(db)
  await copyRights(db, rows[0]!.sequence, 'log_position')
  await sql`DROP TABLE log_heads`.execute(db)
}
