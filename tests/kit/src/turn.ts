/** Turns of the buckets of event ids, as a worker would end them, but without its wait. */
import { type Db, endTurn, readBuckets } from '@eventflow/db'
import { until } from './until.js'

/** Resolves when the present turn has ended. */
export async function turnEnds(db: Db): Promise<void> {
  const { readAt } = (await readBuckets(db))!
  await until('the turn ends', () => endTurn(db, readAt, 0))
}
