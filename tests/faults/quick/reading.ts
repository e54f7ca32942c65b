/** Steps that the quick scenarios of windows and joins have in common. */
import type { Db } from '@eventflow/db'
import { LEADS_TO_ANOTHER, PARTITIONS, type Step, until } from '@eventflow/testkit'
import type { QuickStage } from './stage.js'
import { working } from './steps.js'

const HOUR_MS = 3_600_000
const began = Math.floor((Date.now() - HOUR_MS) / 10_000) * 10_000
export const at = (seconds: number) => began + seconds * 1_000

/** Events of each type that clients send. */
export const leading = (key: string, seconds: number) => ({ key, at: at(seconds), mood: LEADS_TO_ANOTHER })
export const step = (key: string, seconds: number) => ({ key, at: at(seconds) })
export const handled = (key: string, seconds: number) => ({ key, at: at(seconds), mood: 'handler takes 6 ms' })

/** Starts a worker, and waits until it reads all partitions, for itself and for each consumer group. */
export async function reading(stage: QuickStage) {
  const worker = await working(stage)
  await until('the groups have begun', async () => {
    const { rows } = await stage.db.query(`
      SELECT FROM group_leases JOIN consumer_groups g USING (group_id) JOIN group_cursors c USING (group_id, partition, epoch)
      WHERE owner IS NOT NULL AND c.generation = coalesce(building, g.generation)`)
    return rows.length === 5 * PARTITIONS
  })
  return worker
}

/** Waits until a window or a join has read these events. */
export async function readBy(db: Db, group: string, ids: readonly string[]): Promise<void> {
  await until(`${group} has read them`, async () => {
    const { rows } = await db.query(
      `SELECT FROM processed_events p JOIN group_cursors c USING (partition)
       JOIN consumer_groups g ON g.group_id = c.group_id AND c.generation = coalesce(g.building, g.generation)
       WHERE g.name = $1 AND c.position >= p.position AND event_id = ANY($2)`,
      [group, ids],
    )
    return rows.length === ids.length
  })
}

/** Sends events one after the other, each when the window or the join has read the one before. */
export async function oneByOne({ db, clients }: QuickStage, group: string, steps: readonly Step[]): Promise<void> {
  for (const each of steps) await readBy(db, group, await clients.send([each]))
}

/** A partition, the kind of the mark, and its times. */
export const INSERT_MARK = `
  INSERT INTO log_marks (partition, position, tenant_id, kind, at, seen_since)
  VALUES ($1, nextval('log_position'), 'default', $2, $3, $4)`
