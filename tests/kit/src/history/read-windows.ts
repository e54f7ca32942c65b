/** Reads what the windows of the fault tests have made of the log. */
import { type Db, type Queryable, withTransaction } from '@eventflow/db'
import { eachRow } from './each-row.js'
import { FAULT_WINDOWS, WINDOWED, type WindowSpec } from './fault-windows.js'
import { everIn } from './watch.js'
import type { WindowEntry, WindowHistory } from './window-rows.js'

/**
 * Gives the history of each window of a tenant; of those that are not defined, none. One snapshot each: ticks may still
 * come.
 */
export async function readWindows(db: Db, tenantId: string, take: (history: WindowHistory) => void): Promise<void> {
  for (const spec of FAULT_WINDOWS) {
    const history = await withTransaction(db, async (tx) => {
      await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
      return readWindow(tx, spec, tenantId)
    })
    if (history) take(history)
  }
}

/** A time of Postgres in microseconds. */
const micros = (time: string) => `(extract(epoch FROM ${time}) * 1000000)::bigint::text`

const microsIn = (text: string | null) => (text === null ? undefined : BigInt(text))

async function readWindow(
  tx: Queryable,
  { name, types }: WindowSpec,
  tenantId: string,
): Promise<WindowHistory | undefined> {
  const [group] = await rowsOf(tx, 'SELECT group_id, generation, idle::text FROM consumer_groups WHERE name = $1', [
    name,
  ])
  if (!group) return undefined
  const { group_id: groupId, generation } = group
  const cursors = (await rowsOf(
    tx,
    'SELECT partition, began, position FROM group_cursors WHERE group_id = $1 AND generation = $2',
    [groupId, generation],
  )) as WindowHistory['cursors']
  const began = new Map(cursors.map((cursor) => [cursor.partition, cursor.began]))
  const ofGeneration = [groupId, generation, tenantId]
  const isOurs = 'group_id = $1 AND generation = $2 AND tenant_id = $3'
  const [{ removed }] = await rowsOf(tx, 'SELECT count(*)::integer AS removed FROM removed_processed_events', [])
  return {
    ...{ name, tenantId, groupId, generation, cursors, idle: BigInt(group.idle), isComplete: removed === 0 },
    entries: (await readEntries(tx, types, tenantId)).filter(
      ({ partition, position }) => position > (began.get(partition) ?? 0),
    ),
    marks: await readMarks(tx, tenantId),
    results: (
      await rowsOf(
        tx,
        `SELECT partition, key, ${micros('start_at')} AS start, ${micros('end_at')} AS end, result
         FROM ${everIn('window_results')} WHERE ${isOurs}`,
        ofGeneration,
      )
    ).map(({ result, start, end, ...row }) => ({ ...row, ...result, start: BigInt(start), end: BigInt(end) })),
    late: (
      await rowsOf(
        tx,
        `SELECT seq, position, ${micros('watermark')} AS watermark FROM ${everIn('late_events')} WHERE ${isOurs}`,
        ofGeneration,
      )
    ).map((row) => ({ ...row, watermark: BigInt(row.watermark) })),
    letters: (await rowsOf(
      tx,
      `SELECT seq, error_class || ': ' || message AS message FROM group_dead_letters
       WHERE group_id = $1 AND tenant_id = $2`,
      [groupId, tenantId],
    )) as WindowHistory['letters'],
    state: (
      await rowsOf(
        tx,
        `SELECT partition, key, start_at::text AS start, end_at::text AS end, first_open::text AS first, state
         FROM window_state WHERE ${isOurs}`,
        ofGeneration,
      )
    ).map(({ partition, key, start, end, first, state }) => ({
      ...{ partition, key, count: Number(state.count), sum: Number(state.sum) },
      ...{ start: BigInt(start), end: BigInt(end), firstOpen: BigInt(first) },
    })),
    times: (
      await rowsOf(
        tx,
        `SELECT partition, watermark::text, hold::text FROM group_watermarks WHERE ${isOurs}`,
        ofGeneration,
      )
    ).map(({ partition, watermark, hold }) => ({ partition, watermark: microsIn(watermark), hold: microsIn(hold) })),
    emitted: await readEmitted(tx, tenantId),
  }
}

async function readEntries(tx: Queryable, types: readonly string[], tenantId: string): Promise<WindowEntry[]> {
  const entries: WindowEntry[] = []
  const list = types.map((type) => `'${type}'`).join(', ')
  await eachRow(
    tx,
    // An accepted time counts to the millisecond.
    `SELECT position AS cursor, partition, seq, event_id AS id, key,
            ${micros('coalesce(occurred_at, accepted_at)')} AS occurred,
            ${micros(`date_trunc('milliseconds', accepted_at)`)} AS accepted
     FROM ${everIn('processed_events', `type IN (${list})`)}`,
    { column: 'position', type: 'bigint', tenantId },
    ({ cursor: position, occurred, accepted, ...row }) =>
      entries.push({ ...row, position, occurred: BigInt(occurred), accepted: BigInt(accepted) }),
  )
  return entries
}

async function readMarks(tx: Queryable, tenantId: string): Promise<WindowHistory['marks']> {
  const rows = await rowsOf(
    tx,
    `SELECT partition, position, kind, at::text, seen_since::text FROM ${everIn('log_marks')}
     WHERE tenant_id = $1 ORDER BY position`,
    [tenantId],
  )
  return rows.map(({ partition, position, kind, at, seen_since }) => {
    return { partition, position, kind, at: microsIn(at), seenSince: microsIn(seen_since) }
  })
}

async function readEmitted(tx: Queryable, tenantId: string): Promise<WindowHistory['emitted']> {
  const rows = await rowsOf(
    tx,
    `SELECT ever.event_id AS id, ever.key, ${micros('ever.occurred_at')} AS occurred, r.payload AS data,
            p.seq IS NOT NULL AS "isSettled"
     FROM ${everIn('raw_events', `type = '${WINDOWED}'`)}
     LEFT JOIN raw_events r USING (partition, seq)
     LEFT JOIN ${everIn('processed_events', `type = '${WINDOWED}'`).replace('AS ever', 'AS p')} USING (partition, seq)
     WHERE ever.tenant_id = $1`,
    [tenantId],
  )
  return rows.map(({ occurred, data, ...row }) => ({ ...row, occurred: BigInt(occurred), data: data ?? undefined }))
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns of its statement.
async function rowsOf(tx: Queryable, text: string, values: unknown[]): Promise<any[]> {
  return (await tx.query(text, values)).rows
}
