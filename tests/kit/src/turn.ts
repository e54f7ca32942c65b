/** Turns of the buckets of event ids, as a worker would end them, but without its wait; and how many there were. */
import { type Db, endTurn, FIRST_BUCKET, PARTS_AHEAD, readBuckets } from '@eventflow/db'
import { until } from './until.js'

/** Resolves when the present turn has ended. */
export async function turnEnds(db: Db): Promise<void> {
  const { readAt } = (await readBuckets(db))!
  await until('the turn ends', () => endTurn(db, readAt, 0))
}

/** How often each has happened to the ledger since its database was migrated. */
export type Turns = Record<
  'parts made' | 'parts emptied' | 'parts dropped' | 'turns of buckets' | 'buckets dropped',
  number
>

/** Counts the parts of the ledger and the buckets of event ids that have come and gone. */
export async function countTurns(db: Db): Promise<Turns> {
  const { rows } = await db.query(`
    SELECT parts.*, turns AS "turns of buckets", 1 + turns - buckets AS "buckets dropped" FROM
      (SELECT count(*) FILTER (WHERE part > ${PARTS_AHEAD + 1})::integer AS "parts made",
              count(emptied_at)::integer AS "parts emptied", count(dropped_at)::integer AS "parts dropped"
       FROM ledger_parts) parts,
      (SELECT bucket - ${FIRST_BUCKET} AS turns, bucket FROM ledger) ledger,
      LATERAL (SELECT count(*)::integer AS buckets FROM pg_class
               WHERE relkind = 'r' AND relname ~ '^event_ids_[0-9]+$'
                 AND substr(relname, 11)::integer <= ledger.bucket) leaves`)
  return rows[0]
}
