/** Blocked keys, which wait for the retry of an event. */

import type { Attempt } from '@eventflow/core'
import type { Queryable } from '../server/connect.js'
import { EVENT_OF } from './event-ids.js'
import { IS_SETTLED } from './settled.js'

/** A blocked key, with the event at its head. */
export interface WaitingKey {
  id: string
  type: string
  key: string
  partition: number
  acceptedAt: Date
  attempts: number
  dueAt: Date
  history: Attempt[]
  /** How many events of the key are known to be blocked behind it. */
  behind: number
}

/** How many rows of `retries` are read, those with the most attempts first: the heads are among them. */
const LOOKED_AT = 2_000

/** How many events after the head are searched for those that are blocked behind it. */
const LOOKED_AT_BEHIND = 2_000

/**
 * Resolves with the blocked keys, those that have waited the longest first. Events of the types in `unordered` are a
 * key each. Blocked events behind the head are counted among the next thousands of events of the partition, and only if
 * `countBehind` is set.
 */
export async function readWaitingKeys(
  db: Queryable,
  tenantId: string,
  { unordered, limit, countBehind }: { unordered: readonly string[]; limit: number; countBehind: boolean },
): Promise<WaitingKey[]> {
  const { rows } = await db.query(
    `WITH heads AS (
       SELECT DISTINCT ON (r.partition, waits_for) r.tenant_id, r.event_id, r.seq, r.type, r.key, r.partition, r.accepted_at,
              w.attempts, w.due_at, w.history
       FROM (SELECT * FROM retries WHERE tenant_id = $1 ORDER BY attempts DESC LIMIT ${LOOKED_AT}) w
       CROSS JOIN ${EVENT_OF('w')} r
       CROSS JOIN LATERAL (SELECT CASE WHEN r.type = ANY($2::text[]) THEN r.event_id::text ELSE r.key END AS waits_for) o
       ORDER BY r.partition, waits_for, r.seq)
     SELECT event_id AS id, type, key, partition, accepted_at AS "acceptedAt", attempts, due_at AS "dueAt", history,
            CASE WHEN $4 AND type <> ALL($2::text[]) THEN
              (SELECT count(*) FROM (SELECT * FROM raw_events WHERE partition = heads.partition AND seq > heads.seq
                                     ORDER BY seq LIMIT ${LOOKED_AT_BEHIND}) e
               WHERE e.tenant_id = $1 AND e.key = heads.key AND NOT ${IS_SETTLED}) ELSE 0 END AS behind
     FROM heads ORDER BY seq LIMIT $3`,
    [tenantId, unordered, limit, countBehind],
  )
  return rows
}
