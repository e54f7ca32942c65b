/**
 * `group_watermarks`: event time as a window or a join has seen it, for each partition and tenant. All times are in
 * microseconds since 1970.
 */

import { bigintColumn, smallintColumn, textColumn } from '../ledger/columns.js'
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'

/** A tenant in a partition. */
export interface Place {
  partition: number
  tenantId: string
}

/** The row of a place: see `Watermark` in core. */
export interface GroupTimeRow extends Place {
  at: bigint | undefined
  seen: bigint | undefined
  hold: bigint | undefined
  /** When the last event was accepted that the group has seen. */
  lastAccepted: bigint | undefined
}

/** Resolves with the rows of these partitions. */
export async function readGroupTimes(
  db: Queryable,
  { groupId, generation }: Generation,
  partitions: readonly number[],
): Promise<GroupTimeRow[]> {
  const { rows } = await db.query({
    name: 'read-group-times',
    text: `
      SELECT partition, tenant_id, watermark::text, seen::text, hold::text, last_accepted::text
      FROM group_watermarks WHERE group_id = $1 AND generation = $2 AND partition = ANY($3::smallint[])`,
    values: [groupId, generation, partitions],
  })
  const micros = (text: string | null) => (text === null ? undefined : BigInt(text))
  return rows.map((row) => ({
    partition: row.partition,
    tenantId: row.tenant_id,
    at: micros(row.watermark),
    seen: micros(row.seen),
    hold: micros(row.hold),
    lastAccepted: micros(row.last_accepted),
  }))
}

/** Writes the rows of these places. */
export async function writeGroupTimes(
  tx: Queryable,
  { groupId, generation }: Generation,
  times: readonly GroupTimeRow[],
): Promise<void> {
  await tx.query({
    name: 'write-group-times',
    text: `
      INSERT INTO group_watermarks (group_id, generation, partition, tenant_id, watermark, seen, hold, last_accepted)
      SELECT $1, $2, * FROM unnest($3::smallint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
      ON CONFLICT (group_id, generation, partition, tenant_id) DO UPDATE
        SET watermark = excluded.watermark, seen = excluded.seen, hold = excluded.hold,
            last_accepted = excluded.last_accepted`,
    values: [
      ...[groupId, generation, smallintColumn(times.map((t) => t.partition)), textColumn(times.map((t) => t.tenantId))],
      ...[bigintColumn(times.map((t) => t.at)), bigintColumn(times.map((t) => t.seen))],
      ...[bigintColumn(times.map((t) => t.hold)), bigintColumn(times.map((t) => t.lastAccepted))],
    ],
  })
}
