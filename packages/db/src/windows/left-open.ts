/** What a former generation of a window has left open: its owner went before it had closed what the watermark had passed. */
import { smallintColumn, textColumn } from '../ledger/columns.js'
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'
import type { EventKey } from './window-state.js'

/** The windows of a key that close from a time on, up to the watermark. Times are in microseconds. */
export interface LeftOpen extends EventKey {
  from: bigint
  watermark: bigint
}

/** Resolves with what the former generation has left open of these keys, while this one is built. */
export async function readLeftOpen(
  tx: Queryable,
  { groupId, generation }: Generation,
  keys: readonly EventKey[],
): Promise<LeftOpen[]> {
  const { rows } = await tx.query({
    name: 'read-left-open',
    text: `
      SELECT k.partition, k.tenant_id, k.key, open.from_at::text, watermark::text
      FROM consumer_groups g
      CROSS JOIN (SELECT DISTINCT * FROM unnest($3::smallint[], $4::text[], $5::text[])) AS k(partition, tenant_id, key)
      JOIN group_cursors c ON c.group_id = g.group_id AND c.generation = $2 AND c.partition = k.partition
      JOIN group_watermarks w ON w.group_id = g.group_id AND w.generation = c.former
        AND w.partition = k.partition AND w.tenant_id = k.tenant_id
      CROSS JOIN LATERAL (
        SELECT min(close_at) AS from_at FROM (
          SELECT close_at FROM window_state s
          WHERE s.group_id = g.group_id AND s.generation = c.former AND s.partition = k.partition
            AND s.tenant_id = k.tenant_id AND s.key = k.key OFFSET 0) of_key) open
      WHERE g.group_id = $1 AND g.generation < $2 AND open.from_at <= watermark`,
    values: [
      ...[groupId, generation, smallintColumn(keys.map((key) => key.partition))],
      ...[textColumn(keys.map((key) => key.tenantId)), textColumn(keys.map((key) => key.key))],
    ],
  })
  return rows.map((row) => ({
    ...{ partition: row.partition, tenantId: row.tenant_id, key: row.key },
    ...{ from: BigInt(row.from_at), watermark: BigInt(row.watermark) },
  }))
}
