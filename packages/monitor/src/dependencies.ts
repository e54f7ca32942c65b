/** Whether this process can reach Postgres and the feed. */
import type { FeedMonitor } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { within } from './within.js'

export interface Dependencies {
  postgres: boolean
  redis: boolean
}

/** A dependency that does not answer within this time counts as down, in milliseconds. */
const PATIENCE_MS = 2_000

/** Asks both concurrently. Never rejects. */
export async function readDependencies(db: Db, feed: FeedMonitor): Promise<Dependencies> {
  const answers = (question: Promise<unknown>) => within(PATIENCE_MS, question).then((answer) => answer !== undefined)
  const [postgres, isUp] = await Promise.all([answers(db.query('SELECT 1')), answers(feed.ping())])
  return { postgres, redis: isUp }
}
