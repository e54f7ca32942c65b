/** What watermarks have passed: windows to be closed, and rows of joins that have expired. */
import { bigintColumn, smallintColumn, textColumn } from '../ledger/columns.js'
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'
import type { Place } from './group-times.js'

/** A place, and the watermark that it has reached, in microseconds since 1970. */
export interface Passed extends Place {
  watermark: bigint
}

const TIMERS = {
  window: { table: 'window_state', timer: 'close_at' },
  join: { table: 'join_rows', timer: 'expires_at' },
}

/** Resolves with those of these places where the watermark has passed something that is still there. */
export async function findDue(
  db: Queryable,
  kind: keyof typeof TIMERS,
  { groupId, generation }: Generation,
  passed: readonly Passed[],
): Promise<Passed[]> {
  const { table, timer } = TIMERS[kind]
  const { rows } = await db.query({
    name: `find-due-${kind}`,
    text: `
      SELECT p.number
      FROM unnest($3::smallint[], $4::text[], $5::bigint[]) WITH ORDINALITY AS p(partition, tenant_id, watermark, number)
      WHERE (SELECT ${timer} FROM ${table} s
             WHERE s.group_id = $1 AND s.generation = $2 AND s.partition = p.partition AND s.tenant_id = p.tenant_id
               AND s.${timer} IS NOT NULL
             ORDER BY ${timer} LIMIT 1) <= p.watermark`,
    values: [
      ...[
        groupId,
        generation,
        smallintColumn(passed.map((p) => p.partition)),
        textColumn(passed.map((p) => p.tenantId)),
      ],
      bigintColumn(passed.map((p) => p.watermark)),
    ],
  })
  return rows.map(({ number }) => passed[number - 1]!)
}
