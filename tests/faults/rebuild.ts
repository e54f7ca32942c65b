/** Builds the windows of a stack anew, and compares what they find with what they had found. */
import type { Db } from '@eventflow/db'
import { type Stack, until } from '@eventflow/testkit'

/** A rebuild may take so long, in milliseconds. */
const REBUILD_MS = 300_000

export interface Rebuilt {
  /** How many results and late events there were before. */
  rows: number
  /** In words. */
  differences: string[]
}

/**
 * Restarts the workers with the next version of the windows, and waits until it has read the whole log. Everything must
 * have been drained, and nothing of the log removed.
 */
export async function rebuildWindows(stack: Stack): Promise<Rebuilt> {
  const { db, workers } = stack
  const before = await findings(db)
  await Promise.all(workers.map((worker) => worker.end('SIGTERM')))
  for (const worker of workers) {
    worker.env.FAULT_WINDOWS = `${Number(worker.env.FAULT_WINDOWS) + 1}`
    worker.start()
  }
  await Promise.all(workers.map((worker) => worker.ready(60_000)))
  await until(
    'the windows are built anew',
    async () => {
      const { rows } = await db.query(
        `SELECT FROM consumer_groups WHERE kind = 'window' AND building IS NULL AND version = $1`,
        [Number(workers[0]!.env.FAULT_WINDOWS)],
      )
      return rows.length === 3
    },
    REBUILD_MS,
  )
  await stack.drained(REBUILD_MS)
  const after = await findings(db)
  const missing = [...before].filter((row) => !after.has(row)).map((row) => `not found again: ${row}`)
  const more = [...after].filter((row) => !before.has(row)).map((row) => `not found before: ${row}`)
  return { rows: before.size, differences: [...missing, ...more] }
}

/** Results and late events of the generation that people see, in words. */
async function findings(db: Db): Promise<Set<string>> {
  const of = (table: string) => `FROM ${table} t JOIN consumer_groups g USING (group_id, generation)`
  const { rows } = await db.query(`
    SELECT concat_ws(', ', name, t.tenant_id, t.key, start_at, end_at, result) AS words ${of('window_results')}
    UNION ALL SELECT concat_ws(', ', name, t.tenant_id, 'late', seq, t.key, t.watermark) ${of('late_events')}`)
  return new Set(rows.map(({ words }) => words))
}
