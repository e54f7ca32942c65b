/**
 * `window_state`: the open panes and sessions of windows. All times are in microseconds since 1970. Call these functions
 * in a transaction that has moved the group's cursors: then no other owner changes the rows.
 */
import type { Payload } from '@eventflow/core'
import { bigintColumn, jsonbColumn, smallintColumn, textColumn } from '../ledger/columns.js'
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'
import type { Passed } from './due.js'
import type { Place } from './group-times.js'

/** A key of events. */
export interface EventKey extends Place {
  key: string
}

export interface PaneKey extends EventKey {
  /** The start of the pane, or the time of the session's first event. */
  start: bigint
  /** The start of the earliest window that counts the pane; the same as `start` for a session. */
  firstOpen: bigint
}

/** A pane of a key, or a session. */
export interface PaneRow extends PaneKey {
  /** The end of the pane, or the time of the session's last event. */
  end: bigint
  /** A watermark from this time on closes the next window of the pane, or the session. */
  closeAt: bigint
  /** The most hops of its events. */
  hops: number
  state: Payload
}

const KEY_COLUMNS = 'partition, tenant_id, key, start_at, first_open'

const PANE = `w.partition, w.tenant_id, w.key, w.start_at::text, w.first_open::text, w.end_at::text, w.close_at::text,
  w.hops, w.state`

const keyColumns = (keys: readonly EventKey[]) => [
  smallintColumn(keys.map((key) => key.partition)),
  textColumn(keys.map((key) => key.tenantId)),
  textColumn(keys.map((key) => key.key)),
]

const paneColumns = (panes: readonly PaneKey[]) => [
  ...keyColumns(panes),
  bigintColumn(panes.map((pane) => pane.start)),
  bigintColumn(panes.map((pane) => pane.firstOpen)),
]

const GIVEN = `unnest($3::smallint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) AS p(${KEY_COLUMNS})`

// Always in a LATERAL with OFFSET 0, so that each pane is looked up by its key. Without statistics Postgres would compare
// all panes of the group with each of those given.
const SAME_PANE = `s.group_id = $1 AND s.generation = $2 AND s.partition = p.partition AND s.tenant_id = p.tenant_id
  AND s.key = p.key AND s.start_at = p.start_at AND s.first_open = p.first_open`

/** Resolves with those of these panes that there are. */
export async function readPanes(
  tx: Queryable,
  { groupId, generation }: Generation,
  panes: readonly PaneKey[],
): Promise<PaneRow[]> {
  const { rows } = await tx.query({
    name: 'read-panes',
    text: `
      SELECT ${PANE} FROM ${GIVEN} CROSS JOIN LATERAL (SELECT * FROM window_state s WHERE ${SAME_PANE} OFFSET 0) w`,
    values: [groupId, generation, ...paneColumns(panes)],
  })
  return rows.map(paneOf)
}

/** Resolves with the panes of these keys that begin before a time, or with all. */
export async function readPanesOf(
  tx: Queryable,
  { groupId, generation }: Generation,
  keys: readonly EventKey[],
  before?: bigint,
): Promise<PaneRow[]> {
  const { rows } = await tx.query({
    name: 'read-panes-of',
    text: `
      SELECT ${PANE} FROM unnest($3::smallint[], $4::text[], $5::text[]) AS k(partition, tenant_id, key)
      CROSS JOIN LATERAL (
        SELECT * FROM window_state s
        WHERE s.group_id = $1 AND s.generation = $2 AND s.partition = k.partition AND s.tenant_id = k.tenant_id
          AND s.key = k.key AND ($6::bigint IS NULL OR s.start_at < $6) OFFSET 0) w
      ORDER BY w.start_at, w.first_open`,
    values: [groupId, generation, ...keyColumns(keys), before?.toString() ?? null],
  })
  return rows.map(paneOf)
}

/** Inserts these panes, or replaces their state. */
export async function writePanes(
  tx: Queryable,
  { groupId, generation }: Generation,
  panes: readonly PaneRow[],
): Promise<void> {
  if (panes.length === 0) return
  await tx.query({
    name: 'write-panes',
    text: `
      INSERT INTO window_state (group_id, generation, ${KEY_COLUMNS}, end_at, close_at, hops, state)
      SELECT $1, $2, * FROM unnest($3::smallint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
                                   $9::bigint[], $10::smallint[], $11::jsonb[])
      ON CONFLICT (group_id, generation, ${KEY_COLUMNS}) DO UPDATE
        SET end_at = excluded.end_at, close_at = excluded.close_at, hops = excluded.hops, state = excluded.state`,
    values: [
      ...[groupId, generation, ...paneColumns(panes)],
      ...[bigintColumn(panes.map((pane) => pane.end)), bigintColumn(panes.map((pane) => pane.closeAt))],
      ...[smallintColumn(panes.map((pane) => pane.hops)), jsonbColumn(panes.map((pane) => JSON.stringify(pane.state)))],
    ],
  })
}

/** Removes these panes. */
export async function deletePanes(
  tx: Queryable,
  { groupId, generation }: Generation,
  panes: readonly PaneKey[],
): Promise<void> {
  if (panes.length === 0) return
  await tx.query({
    name: 'delete-panes',
    text: `
      DELETE FROM window_state WHERE ctid = ANY(ARRAY(
        SELECT w.place FROM ${GIVEN}
        CROSS JOIN LATERAL (SELECT ctid AS place FROM window_state s WHERE ${SAME_PANE} OFFSET 0) w))`,
    values: [groupId, generation, ...paneColumns(panes)],
  })
}

/** The end of a window of a key that a watermark has passed. */
export interface DueEnd extends EventKey {
  closeAt: bigint
}

/**
 * Resolves with the windows that these watermarks have passed, the earliest first: at most `limit`, and no more once
 * their state has `bytes` bytes. The earlier windows of a key come before its later ones.
 */
export async function readDueEnds(
  tx: Queryable,
  { groupId, generation }: Generation,
  passed: readonly Passed[],
  { limit, bytes }: { limit: number; bytes: number },
): Promise<DueEnd[]> {
  const { rows } = await tx.query({
    name: 'read-due-ends',
    text: `
      SELECT partition, tenant_id, key, close_at::text FROM (
        SELECT *, sum(size) OVER (ORDER BY close_at, partition, tenant_id, key ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
          SELECT p.partition, p.tenant_id, key, close_at, sum(size) AS size
          FROM unnest($3::smallint[], $4::text[], $5::bigint[], array_fill($6::integer, ARRAY[cardinality($3)]))
            AS p(partition, tenant_id, watermark, ends)
          CROSS JOIN LATERAL (
            SELECT key, close_at, octet_length(state::text) AS size FROM window_state s
            WHERE s.group_id = $1 AND s.generation = $2 AND s.partition = p.partition AND s.tenant_id = p.tenant_id
              AND s.close_at <= p.watermark
            ORDER BY close_at LIMIT p.ends) due
          GROUP BY p.partition, p.tenant_id, key, close_at
          ORDER BY close_at, p.partition, p.tenant_id, key LIMIT $6) ends) ends
      WHERE before < $7
      ORDER BY close_at, partition, tenant_id, key`,
    values: [
      ...[
        groupId,
        generation,
        smallintColumn(passed.map((p) => p.partition)),
        textColumn(passed.map((p) => p.tenantId)),
      ],
      ...[bigintColumn(passed.map((p) => p.watermark)), limit, bytes],
    ],
  })
  return rows.map((row) => ({ ...keyOf(row), closeAt: BigInt(row.close_at) }))
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns above.
const keyOf = (row: any): EventKey => ({ partition: row.partition, tenantId: row.tenant_id, key: row.key })

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns above.
function paneOf(row: any): PaneRow {
  return {
    ...keyOf(row),
    start: BigInt(row.start_at),
    firstOpen: BigInt(row.first_open),
    end: BigInt(row.end_at),
    closeAt: BigInt(row.close_at),
    hops: row.hops,
    state: row.state,
  }
}
