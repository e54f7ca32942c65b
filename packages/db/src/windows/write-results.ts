/** What windows and joins leave behind: `window_results` and `late_events`. Times are in microseconds since 1970. */
import type { AcceptedEvent, Payload } from '@eventflow/core'
import {
  bigintColumn,
  jsonbColumn,
  microsColumn,
  smallintColumn,
  textColumn,
  timestamptzColumn,
  uuidColumn,
} from '../ledger/columns.js'
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'
import type { EventKey } from './window-state.js'

/** The final result of a window of a key. */
export interface WindowResult extends EventKey {
  start: bigint
  end: bigint
  aggregates: Payload
}

/** Inserts results. Rejects if one of them is there already. */
export async function insertWindowResults(
  tx: Queryable,
  { groupId, generation }: Generation,
  results: readonly WindowResult[],
): Promise<void> {
  if (results.length === 0) return
  await tx.query({
    name: 'insert-window-results',
    text: `
      INSERT INTO window_results (group_id, generation, partition, tenant_id, key, start_at, end_at, result)
      SELECT $1, $2, * FROM unnest($3::smallint[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::jsonb[])`,
    values: [
      ...[
        groupId,
        generation,
        smallintColumn(results.map((r) => r.partition)),
        textColumn(results.map((r) => r.tenantId)),
      ],
      ...[textColumn(results.map((r) => r.key)), microsColumn(results.map((r) => r.start))],
      ...[microsColumn(results.map((r) => r.end)), jsonbColumn(results.map((r) => JSON.stringify(r.aggregates)))],
    ],
  })
}

/** An event that came after the watermark had passed its windows. */
export interface LateEvent {
  event: AcceptedEvent
  position: number
  /** The watermark that it met. */
  watermark: bigint
}

/** Records late events. */
export async function insertLateEvents(
  tx: Queryable,
  { groupId, generation }: Generation,
  late: readonly LateEvent[],
): Promise<void> {
  if (late.length === 0) return
  const events = late.map(({ event }) => event)
  await tx.query({
    name: 'insert-late-events',
    text: `
      INSERT INTO late_events (group_id, generation, seq, tenant_id, event_id, type, key, partition, position, occurred_at,
                               watermark)
      SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::smallint[],
                                   $9::bigint[], $10::timestamptz[], $11::timestamptz[])
      ON CONFLICT (group_id, generation, seq) DO UPDATE SET watermark = excluded.watermark, recorded_at = now()`,
    values: [
      ...[groupId, generation, bigintColumn(events.map((e) => e.seq)), textColumn(events.map((e) => e.tenantId))],
      ...[
        uuidColumn(events.map((e) => e.id)),
        textColumn(events.map((e) => e.type)),
        textColumn(events.map((e) => e.key)),
      ],
      ...[smallintColumn(events.map((e) => e.partition)), bigintColumn(late.map((l) => l.position))],
      ...[timestamptzColumn(events.map((e) => e.occurredAt)), microsColumn(late.map((l) => l.watermark))],
    ],
  })
}
