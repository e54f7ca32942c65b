/**
 * The incarnation of the ledger: a number that rises whenever the database may have forgotten events that it once had,
 * because it was restored or a standby without its last commits took over. Seqs are then assigned a second time, and an
 * entry of a forgotten event would take the place of a new one. So each incarnation seals its entries with a secret of
 * its own, and the entries of earlier ones count as foreign.
 *
 * A server that took over or was restored to a point in time writes on a new *timeline*; a restored dump is in another
 * database. Both are noticed when a partition begins, and the first also by the fence, so that nothing is settled in
 * between. A restored copy of the files looks like the original: then `eventflow doctor --restored` begins the new
 * incarnation.
 */
import { randomBytes } from 'node:crypto'
import { type Db, type Queryable, withTransaction } from './connect.js'

// The first eight digits of the name of a file of the write-ahead log.
const TIMELINE = 'left(pg_walfile_name(pg_current_wal_lsn()), 8)'

const DATABASE = `
  (SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid FROM pg_database WHERE datname = current_database())`

/** Whether the server writes on the timeline of the incarnation. */
export const IS_SAME_HISTORY = `(SELECT timeline = ${TIMELINE} FROM ledger)`

/** Whether it is the database of the incarnation; reads a file of the server. */
export const IS_SAME_DATABASE = `(SELECT identity = ${DATABASE} FROM ledger)`

/**
 * The secret that seals the entries of an incarnation. All processes of an installation share it; the feed never gets
 * it.
 */
export interface EntryKey {
  incarnation: number
  /** 32 bytes. */
  secret: Buffer
}

/** Resolves with the key of the current incarnation. */
export async function readEntryKey(db: Queryable): Promise<EntryKey> {
  const { rows } = await db.query('SELECT incarnation, entry_secret AS secret FROM ledger, installation')
  return rows[0]
}

/**
 * Returns a function to call with each incarnation that a statement has seen. If it is a new one, it calls `renew` with
 * the secret of the new one. It resolves with whether the one that was seen is current. What a statement has stored in
 * an earlier one may be forgotten, and must not be sealed with the new secret.
 */
export function followIncarnation(
  db: Queryable,
  first: EntryKey,
  renew: (secret: Buffer) => void,
): (seen: number) => Promise<boolean> {
  let { incarnation } = first
  return async (seen) => {
    if (seen === incarnation) return true
    const key = await readEntryKey(db)
    renew(key.secret)
    incarnation = key.incarnation
    return seen === incarnation
  }
}

/** Records on which server and in which database the incarnation is. */
export const REMEMBER_HISTORY = `UPDATE ledger SET timeline = ${TIMELINE}, identity = ${DATABASE}`

/**
 * Begins a new incarnation, if the server does not have the history of the current one, or if it is `known` that it was
 * restored. All partitions lose their owners, and all entries of earlier incarnations count as foreign. Resolves with
 * whether a new one has begun.
 */
export async function renewIncarnation(db: Db, { known }: { known: boolean }): Promise<boolean> {
  return withTransaction(db, async (tx) => {
    await tx.query('SELECT FROM ledger FOR UPDATE')
    const { rows } = await tx.query(`SELECT ${IS_SAME_HISTORY} AND ${IS_SAME_DATABASE} AS same`)
    if (rows[0].same && !known) return false
    await tx.query(`${REMEMBER_HISTORY}, incarnation = incarnation + 1`)
    await tx.query('UPDATE installation SET entry_secret = $1', [randomBytes(32)])
    await tx.query(`
      UPDATE partitions SET owner = NULL, epoch = epoch + 1
      WHERE id IN (SELECT id FROM partitions ORDER BY id FOR UPDATE)`)
    return true
  })
}
