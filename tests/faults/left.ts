/** What a pipeline still has to do when a scenario is over. */
import type { Db } from '@eventflow/db'
import { type Redis, readDepths } from '@eventflow/redis'
import { groupsAreLevel, PARTITIONS, until } from '@eventflow/testkit'

/** How long the end of a scenario waits for a pipeline that settles everything without a sweep, in milliseconds. */
const UNSWEPT_MS = 1_500

/** The same for a pipeline that is slow, or never empties its streams because of a planted bug. */
const AT_REST_MS = 10_000

/** The number of accepted events that are unsettled, or wait in `retries`. */
export async function unsettled(db: Db): Promise<number> {
  const { rows } = await db.query(`
    SELECT (SELECT count(*) FROM retries) + count(*) AS unsettled FROM raw_events r
    WHERE NOT EXISTS (SELECT FROM processed_events p WHERE p.tenant_id = r.tenant_id AND p.event_id = r.event_id)
      AND NOT EXISTS (SELECT FROM failed_events f WHERE f.tenant_id = r.tenant_id AND f.event_id = r.event_id)`)
  return Number(rows[0].unsettled)
}

/** The number of entries in the streams, those that are pending counted twice. */
export async function leftInStreams(redis: Redis, prefix: string): Promise<number> {
  const depths = await readDepths(redis, prefix, PARTITIONS)
  return depths.reduce((sum, { length, pending }) => sum + length + pending, 0)
}

/**
 * Resolves when everything is settled, or when only a sweep can find what is left: all partitions are read from their
 * streams, the streams are empty, no event waits in `retries`, and the consumer groups are level. A sweep before that
 * would hide a bug on a machine that is so slow that it has not read the streams yet.
 */
export async function untilOnlyASweepHelps(db: Db, redis: Redis, prefix: string): Promise<void> {
  const isSettled = async () => (await unsettled(db)) === 0 && (await groupsAreLevel(db))
  const isAtRest = async () => {
    const { rows } = await db.query(`
      SELECT (SELECT count(*) FROM retries) = 0 AND count(*) = 0 AS at_rest FROM partitions JOIN partition_marks USING (id)
      WHERE owner IS NULL OR dirty <> 0 OR redis_run_id IS NULL`)
    return rows[0].at_rest && (await leftInStreams(redis, prefix)) === 0 && (await groupsAreLevel(db))
  }
  const isReady = async () => (await isAtRest()) || (await isSettled())
  await until('everything is settled', isSettled, UNSWEPT_MS).catch(() =>
    until('nothing is left but for a sweep', isReady, AT_REST_MS).catch(() => {}),
  )
}
