/** Steps that quick scenarios have in common. */
import { partitionOf } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { readDepths } from '@eventflow/redis'
import { PARTITIONS, until } from '@eventflow/testkit'
import type { QuickStage } from './stage.js'

export const sourceAway = (db: Db) => db.query('INSERT INTO source_away DEFAULT VALUES')
export const sourceBack = (db: Db) => db.query('DELETE FROM source_away')

export const partitionOfKey = (key: string) => partitionOf('default', key, PARTITIONS)

/** Another key of the same partition. */
export function neighbourOf(key: string): string {
  for (let n = 1; ; n++) if (partitionOfKey(`${key} ${n}`) === partitionOfKey(key)) return `${key} ${n}`
}

/** Starts a worker, and waits until it owns all partitions and reads their streams. */
export async function working({ pipeline, db }: QuickStage, id?: string) {
  const worker = await pipeline.startWorker(id)
  await inStreams(db)
  return worker
}

/** Waits until every partition has an owner that reads its stream. */
export async function inStreams(db: Db): Promise<void> {
  await until('every stream is in use', async () => {
    const { rows } = await db.query(
      `SELECT FROM partitions JOIN partition_marks USING (id)
       WHERE owner IS NOT NULL AND dirty = 0 AND redis_run_id IS NOT NULL`,
    )
    return rows.length === PARTITIONS
  })
}

/** Waits until these events are processed. */
export async function processed(db: Db, ids: readonly string[], timeoutMs?: number): Promise<void> {
  await until(
    'they are processed',
    async () => {
      const { rows } = await db.query('SELECT FROM processed_events WHERE event_id = ANY($1)', [ids])
      return rows.length === ids.length
    },
    timeoutMs,
  )
}

/** Waits until a worker has this many pending entries of the partition of a key. */
export async function inHand({ redis, pipeline }: QuickStage, key: string, entries = 1): Promise<void> {
  await until('they are pending', async () => {
    const depths = await readDepths(redis, pipeline.prefix, PARTITIONS)
    return depths[partitionOfKey(key)]!.pending >= entries
  })
}

/** Waits until this many events wait in `retries`. */
export async function inRetries(db: Db, count: number): Promise<void> {
  await until('they wait to be tried again', async () => {
    const { rows } = await db.query('SELECT count(*)::integer AS waiting FROM retries')
    return rows[0].waiting >= count
  })
}

/** Takes the partition of a key from its owner, as a skip does; it is taken again at once. Resolves after that. */
export async function takenAway(db: Db, key: string): Promise<void> {
  const id = partitionOfKey(key)
  const { rows } = await db.query(
    'UPDATE partitions SET owner = NULL, epoch = epoch + 1 WHERE id = $1 RETURNING epoch',
    [id],
  )
  await until('it has an owner again', async () => {
    const now = await db.query('SELECT epoch FROM partitions WHERE id = $1 AND owner IS NOT NULL', [id])
    return now.rows.length > 0 && now.rows[0].epoch > rows[0].epoch
  })
}

/**
 * Sends an event of another key to the same partition, and waits until it is processed: earlier entries have then been
 * read.
 */
export async function passed({ db, clients }: QuickStage, key: string): Promise<void> {
  await processed(db, await clients.send([{ key: neighbourOf(key) }]))
}

/** Makes Redis refuse every entry while `work` runs. */
export async function whileFull({ redis }: QuickStage, work: () => Promise<unknown>): Promise<void> {
  await redis.config('SET', 'maxmemory', '1')
  await work()
  await redis.config('SET', 'maxmemory', '0')
}
