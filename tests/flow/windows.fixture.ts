/** Windows in tests. Times are seconds after ten o'clock, long ago: so an event was accepted after it happened. */
import { count, defineEvent, defineWindow, Type, tumbling, type WindowDefinition } from '@eventflow/sdk'
import { type TestPipeline, until } from '@eventflow/testkit'

export const measured = defineEvent({ type: 'measured', schema: Type.Object({ n: Type.Unknown() }) })

/** What a window that `windowOf` makes can emit. */
export const counted = defineEvent({
  type: 'counted',
  schema: Type.Object({ key: Type.String(), start: Type.String(), end: Type.String(), n: Type.Number() }),
})

const TEN = Date.parse('2026-01-01T10:00:00Z')

export const timeAt = (seconds: number) => new Date(TEN + seconds * 1_000).toISOString()

export const at = (seconds: number, n: unknown = 1, type = 'measured', key = 'k') => ({
  type,
  partitionkey: key,
  time: timeAt(seconds),
  data: { n },
})

/** A tumbling window of 10 s that counts, unless something else is given. */
export function windowOf(given: Partial<WindowDefinition> = {}): WindowDefinition {
  return defineWindow({
    name: 'w',
    on: ['measured'],
    from: 'earliest',
    window: tumbling('10s'),
    aggregate: { n: count() },
    ...given,
  } as WindowDefinition)
}

/** Start, end and result of the closed windows, in the order of time. */
export async function resultsOf({ db }: Pick<TestPipeline, 'db'>, name = 'w') {
  const { rows } = await db.query(
    `SELECT extract(epoch FROM start_at)::float8 * 1000 - ${TEN} AS start,
            extract(epoch FROM end_at)::float8 * 1000 - ${TEN} AS "end", result
     FROM window_results JOIN consumer_groups USING (group_id, generation) WHERE name = $1 ORDER BY start_at, key`,
    [name],
  )
  return rows.map((row) => [row.start / 1_000, row.end / 1_000, row.result])
}

export async function untilResults(pipeline: TestPipeline, number: number, name = 'w') {
  await until(`there are ${number} results`, async () => (await resultsOf(pipeline, name)).length >= number)
  return resultsOf(pipeline, name)
}

const due = (table: string, column: string) => `
  (SELECT count(*) FROM ${table} JOIN group_watermarks USING (group_id, generation, partition, tenant_id)
   WHERE ${column} <= watermark)`

/** Waits until every accepted event is processed, every group has read it, and what has ended by that is done. */
export async function untilRead({ db }: TestPipeline, timeoutMs = 15_000): Promise<void> {
  await until(
    'all is read',
    async () => {
      const { rows } = await db.query(
        `SELECT (SELECT count(*) FROM raw_events) - (SELECT count(*) FROM processed_events) AS unprocessed,
              count(*) FILTER (WHERE position < (SELECT max(position) FROM processed_events p
                                                 WHERE p.partition = c.partition)) AS unread,
              ${due('window_state', 'close_at')} + ${due('join_rows', 'expires_at')} AS due
       FROM group_cursors c JOIN consumer_groups g USING (group_id) WHERE c.generation = coalesce(building, g.generation)`,
      )
      return rows[0].unprocessed === 0 && rows[0].unread === 0 && rows[0].due === 0
    },
    timeoutMs,
  )
}

/** The times of late events, and the watermarks that they met. */
export async function lateEvents({ db }: TestPipeline, name = 'w') {
  const { rows } = await db.query(
    `SELECT extract(epoch FROM occurred_at)::float8 * 1000 - ${TEN} AS at,
            extract(epoch FROM watermark)::float8 * 1000 - ${TEN} AS watermark
     FROM late_events JOIN consumer_groups USING (group_id, generation) WHERE name = $1 ORDER BY seq`,
    [name],
  )
  return rows.map((row) => [row.at / 1_000, row.watermark / 1_000])
}

/** The messages of the dead letters of groups whose types match a pattern of LIKE. */
export async function refusedOf({ db }: TestPipeline, types: string): Promise<string[]> {
  const { rows } = await db.query('SELECT message FROM group_dead_letters WHERE type LIKE $1 ORDER BY seq', [types])
  return rows.map(({ message }) => message)
}
