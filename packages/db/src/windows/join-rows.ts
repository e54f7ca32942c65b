/**
 * `join_rows`: the events that wait to be joined. All times are in microseconds since 1970. Call these functions in a
 * transaction that has moved the group's cursors: then no other owner changes the rows.
 */
import type { AcceptedEvent, JoinRow, JoinSide } from '@eventflow/core'
import { bigintColumn, jsonbColumn, smallintColumn, textColumn } from '../ledger/columns.js'
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'
import type { Passed } from './due.js'
import type { EventKey } from './window-state.js'

/** The event itself is read only where it is needed: see `readWaitingEvents`. */
export type WaitingRow = JoinRow<undefined> & EventKey

const keyColumns = (keys: readonly EventKey[]) => [
  smallintColumn(keys.map((key) => key.partition)),
  textColumn(keys.map((key) => key.tenantId)),
  textColumn(keys.map((key) => key.key)),
]

/** Resolves with the rows of these keys, in the order of time and seq. */
export async function readWaiting(
  tx: Queryable,
  { groupId, generation }: Generation,
  keys: readonly EventKey[],
): Promise<WaitingRow[]> {
  const { rows } = await tx.query({
    name: 'read-waiting-rows',
    text: `
      SELECT w.partition, w.tenant_id, w.key, w.side, w.at::text, w.seq, w.expires_at::text, w.matched
      FROM unnest($3::smallint[], $4::text[], $5::text[]) AS k(partition, tenant_id, key)
      CROSS JOIN LATERAL (
        SELECT partition, tenant_id, key, side, at, seq, expires_at, matched FROM join_rows r
        WHERE r.group_id = $1 AND r.generation = $2 AND r.partition = k.partition AND r.tenant_id = k.tenant_id
          AND r.key = k.key OFFSET 0) w
      ORDER BY w.at, w.seq`,
    values: [groupId, generation, ...keyColumns(keys)],
  })
  return rows.map((row) => ({
    ...{ partition: row.partition, tenantId: row.tenant_id, key: row.key },
    ...{ side: row.side as JoinSide, time: BigInt(row.at), seq: row.seq },
    ...{ expiresAt: BigInt(row.expires_at), matched: row.matched, event: undefined },
  }))
}

/** Resolves with keys that have rows which these watermarks have passed, at most `limit`. */
export async function readDueKeys(
  tx: Queryable,
  { groupId, generation }: Generation,
  passed: readonly Passed[],
  limit: number,
): Promise<EventKey[]> {
  const { rows } = await tx.query({
    name: 'read-due-keys',
    text: `
      SELECT DISTINCT p.partition, p.tenant_id, due.key
      FROM unnest($3::smallint[], $4::text[], $5::bigint[], array_fill($6::integer, ARRAY[cardinality($3)]))
        AS p(partition, tenant_id, watermark, rows)
      CROSS JOIN LATERAL (
        SELECT key FROM join_rows r
        WHERE r.group_id = $1 AND r.generation = $2 AND r.partition = p.partition AND r.tenant_id = p.tenant_id
          AND r.expires_at <= p.watermark
        ORDER BY expires_at LIMIT p.rows) due
      LIMIT $6`,
    values: [
      ...[
        groupId,
        generation,
        smallintColumn(passed.map((p) => p.partition)),
        textColumn(passed.map((p) => p.tenantId)),
      ],
      ...[bigintColumn(passed.map((p) => p.watermark)), limit],
    ],
  })
  return rows.map((row) => ({ partition: row.partition, tenantId: row.tenant_id, key: row.key }))
}

/** Names a row of a generation. */
export type RowId = EventKey & Pick<WaitingRow, 'side' | 'time' | 'seq'>

const rowColumns = (rows: readonly RowId[]) => [
  ...keyColumns(rows),
  textColumn(rows.map((row) => row.side)),
  bigintColumn(rows.map((row) => row.time)),
  bigintColumn(rows.map((row) => row.seq)),
]

const ROW = 'partition, tenant_id, key, side, at, seq'

const GIVEN = `unnest($3::smallint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]) AS g(${ROW})`

// Always in a LATERAL with OFFSET 0, as panes are looked up.
const SAME_ROW = `r.group_id = $1 AND r.generation = $2 AND r.partition = g.partition AND r.tenant_id = g.tenant_id
  AND r.key = g.key AND r.side = g.side AND r.at = g.at AND r.seq = g.seq`

/** Resolves with the events of these rows, by their seqs. */
export async function readWaitingEvents(
  tx: Queryable,
  { groupId, generation }: Generation,
  ids: readonly RowId[],
): Promise<Map<number, AcceptedEvent>> {
  if (ids.length === 0) return new Map()
  const { rows } = await tx.query({
    name: 'read-waiting-events',
    text: `
      SELECT g.seq, e.event FROM ${GIVEN} CROSS JOIN LATERAL (SELECT event FROM join_rows r WHERE ${SAME_ROW} OFFSET 0) e`,
    values: [groupId, generation, ...rowColumns(ids)],
  })
  return new Map(rows.map(({ seq, event }) => [seq, event]))
}

/**
 * Resolves with the numbers of those of these rows that wait in the former generation, while this one is built, and that
 * were joined with none.
 */
export async function findUnjoined(
  tx: Queryable,
  { groupId, generation }: Generation,
  ids: readonly RowId[],
): Promise<Set<number>> {
  const { rows } = await tx.query({
    name: 'find-unjoined',
    text: `
      SELECT g.number - 1 AS number
      FROM consumer_groups JOIN group_cursors c USING (group_id)
      JOIN unnest($3::smallint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
        WITH ORDINALITY AS g(${ROW}, number) USING (partition)
      CROSS JOIN LATERAL (
        SELECT matched FROM join_rows r
        WHERE r.group_id = c.group_id AND r.generation = c.former AND r.partition = g.partition
          AND r.tenant_id = g.tenant_id AND r.key = g.key AND r.side = g.side AND r.at = g.at AND r.seq = g.seq
        OFFSET 0) former
      WHERE c.group_id = $1 AND building = $2 AND c.generation = $2 AND NOT former.matched`,
    values: [groupId, generation, ...rowColumns(ids)],
  })
  return new Set(rows.map(({ number }) => number))
}

/** The changes of rows. Those that are inserted have their events. */
export interface RowChanges {
  inserted: readonly (JoinRow<AcceptedEvent> & EventKey)[]
  updated: readonly (Omit<JoinRow<unknown>, 'event'> & EventKey)[]
  deleted: readonly RowId[]
}

/** Writes the changes of rows. */
export async function writeWaiting(tx: Queryable, generation: Generation, changes: RowChanges): Promise<void> {
  const { inserted, updated, deleted } = changes
  const { groupId, generation: number } = generation
  const stateOf = (rows: readonly Pick<WaitingRow, 'expiresAt' | 'matched'>[]) => [
    bigintColumn(rows.map((row) => row.expiresAt)),
    rows.map((row) => row.matched),
  ]
  if (inserted.length > 0) {
    await tx.query({
      name: 'insert-waiting',
      text: `
        INSERT INTO join_rows (group_id, generation, ${ROW}, expires_at, matched, event)
        SELECT $1, $2, * FROM unnest($3::smallint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                                     $9::bigint[], $10::boolean[], $11::jsonb[])`,
      values: [
        ...[groupId, number, ...rowColumns(inserted), ...stateOf(inserted)],
        jsonbColumn(inserted.map(({ event }) => JSON.stringify(event))),
      ],
    })
  }
  if (updated.length > 0) {
    await tx.query({
      name: 'update-waiting',
      text: `
        UPDATE join_rows SET expires_at = new.expires_at, matched = new.matched
        FROM (SELECT w.place, g.expires_at, g.matched
              FROM unnest($3::smallint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
                          $10::boolean[]) AS g(${ROW}, expires_at, matched)
              CROSS JOIN LATERAL (SELECT ctid AS place FROM join_rows r WHERE ${SAME_ROW} OFFSET 0) w) new
        WHERE join_rows.ctid = new.place`,
      values: [groupId, number, ...rowColumns(updated), ...stateOf(updated)],
    })
  }
  if (deleted.length > 0) {
    await tx.query({
      name: 'delete-waiting',
      text: `
        DELETE FROM join_rows WHERE ctid = ANY(ARRAY(
          SELECT w.place FROM ${GIVEN}
          CROSS JOIN LATERAL (SELECT ctid AS place FROM join_rows r WHERE ${SAME_ROW} OFFSET 0) w))`,
      values: [groupId, number, ...rowColumns(deleted)],
    })
  }
}
