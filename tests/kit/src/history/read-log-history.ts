/** Reads how a window or a join of the fault tests has read the log. */
import type { Transaction } from '@eventflow/db'
import { eachRow, rowsOf } from './each-row.js'
import { everIn } from './watch.js'
import type { LogHistory, WindowEntry } from './window-rows.js'

/** A time of Postgres in microseconds. */
export const micros = (time: string) => `(extract(epoch FROM ${time}) * 1000000)::bigint::text`

const microsIn = (text: string | null) => (text === null ? undefined : BigInt(text))

/** For tables with the state of a generation; its values are those of `ofGeneration`. */
export const IS_OURS = 'group_id = $1 AND generation = $2 AND tenant_id = $3'

export const ofGeneration = ({ groupId, generation, tenantId }: LogHistory) => [groupId, generation, tenantId]

/** `types`: those that it reads. Undefined if there is no such group. */
export async function readLogHistory(
  tx: Transaction,
  { name, types }: { name: string; types: readonly string[] },
  tenantId: string,
): Promise<LogHistory | undefined> {
  const [group] = await rowsOf(tx, 'SELECT group_id, generation, idle::text FROM consumer_groups WHERE name = $1', [
    name,
  ])
  if (!group) return undefined
  const { group_id: groupId, generation } = group
  const cursors = (await rowsOf(
    tx,
    'SELECT partition, began, position FROM group_cursors WHERE group_id = $1 AND generation = $2',
    [groupId, generation],
  )) as LogHistory['cursors']
  const began = new Map(cursors.map((cursor) => [cursor.partition, cursor.began]))
  const [{ removed }] = await rowsOf(tx, 'SELECT count(*)::integer AS removed FROM removed_processed_events', [])
  const ids = [groupId, generation, tenantId]
  return {
    ...{ name, tenantId, groupId, generation, cursors, idle: BigInt(group.idle), isComplete: removed === 0 },
    entries: (await readEntries(tx, types, tenantId)).filter(
      ({ partition, position }) => position > (began.get(partition) ?? 0),
    ),
    marks: await readMarks(tx, tenantId),
    late: (
      await rowsOf(
        tx,
        `SELECT seq, position, ${micros('watermark')} AS watermark FROM ${everIn('late_events')} WHERE ${IS_OURS}`,
        ids,
      )
    ).map((row) => ({ ...row, watermark: BigInt(row.watermark) })),
    letters: (await rowsOf(
      tx,
      `SELECT seq, error_class || ': ' || message AS message FROM group_dead_letters
       WHERE group_id = $1 AND tenant_id = $2`,
      [groupId, tenantId],
    )) as LogHistory['letters'],
    times: (
      await rowsOf(tx, `SELECT partition, watermark::text, hold::text FROM group_watermarks WHERE ${IS_OURS}`, ids)
    ).map(({ partition, watermark, hold }) => ({ partition, watermark: microsIn(watermark), hold: microsIn(hold) })),
  }
}

async function readEntries(tx: Transaction, types: readonly string[], tenantId: string): Promise<WindowEntry[]> {
  const entries: WindowEntry[] = []
  const list = types.map((type) => `'${type}'`).join(', ')
  await eachRow(
    tx,
    // An accepted time counts to the millisecond.
    `SELECT position AS cursor, partition, seq, event_id AS id, type, key,
            ${micros('coalesce(occurred_at, accepted_at)')} AS occurred,
            ${micros(`date_trunc('milliseconds', accepted_at)`)} AS accepted
     FROM ${everIn('processed_events', `type IN (${list})`)}`,
    { column: 'position', type: 'bigint', tenantId },
    ({ cursor: position, occurred, accepted, ...row }) =>
      entries.push({ ...row, position, occurred: BigInt(occurred), accepted: BigInt(accepted) }),
  )
  return entries
}

async function readMarks(tx: Transaction, tenantId: string): Promise<LogHistory['marks']> {
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

/** Reads the emitted events of a type, also those that retention has removed: they have no data. */
export async function readEmitted<Row>(tx: Transaction, type: string, tenantId: string): Promise<Row[]> {
  const isOurs = `tenant_id = $1 AND type = '${type}'`
  const ofTable = async (text: string) => rowsOf(tx, `${text} WHERE ${isOurs}`, [tenantId])
  const data = new Map((await ofTable('SELECT seq, payload FROM raw_events')).map(({ seq, payload }) => [seq, payload]))
  const settled = new Set((await ofTable(`SELECT seq FROM ${everIn('processed_events')}`)).map(({ seq }) => seq))
  const rows = await ofTable(
    `SELECT seq, event_id AS id, key, ${micros('occurred_at')} AS occurred, causation_id AS cause
     FROM ${everIn('raw_events')}`,
  )
  return rows.map(({ seq, occurred, ...row }) => {
    return { ...row, occurred: BigInt(occurred), data: data.get(seq), isSettled: settled.has(seq) }
  })
}
