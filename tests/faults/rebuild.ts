/** Builds the windows and joins of a stack anew, and compares what they find with what they had found. */
import { type Db, withTransaction } from '@eventflow/db'
import { rowsOf, type Stack, until } from '@eventflow/testkit'

export interface Rebuilt {
  /** How many results, emitted events, late events and events that wait there were before. */
  rows: number
  /** In words. */
  differences: string[]
}

/**
 * Restarts the workers with the next version of the windows and joins, and with each join a second time under another
 * name: a new version does not emit again what the former one has emitted. Waits until all have read the whole log, for
 * at most `withinMs` milliseconds. Everything must have been drained, and nothing of the log removed.
 */
export async function rebuildReaders(stack: Stack, withinMs = 300_000): Promise<Rebuilt> {
  const { db, workers } = stack
  const before = await findings(db, 'once')
  await Promise.all(workers.map((worker) => worker.end('SIGTERM')))
  for (const worker of workers) {
    worker.env.FAULT_WINDOWS = `${Number(worker.env.FAULT_WINDOWS) + 1}`
    worker.env.FAULT_JOINS_AGAIN = '1'
    worker.start()
  }
  await Promise.all(workers.map((worker) => worker.ready(60_000)))
  await until(
    'the windows and joins are built anew',
    async () => {
      const { rows } = await db.query(
        `SELECT FROM consumer_groups WHERE kind IN ('window', 'join') AND building IS NULL AND version = $1`,
        [Number(workers[0]!.env.FAULT_WINDOWS)],
      )
      return rows.length === 9
    },
    withinMs,
  )
  await stack.drained(withinMs)
  const ofJoins = new Set([...before].filter((words) => words.startsWith('fault-joined')))
  const differences = [
    ...differencesOf(before, await findings(db, 'once')),
    ...differencesOf(ofJoins, await findings(db, 'again')),
  ]
  return { rows: before.size, differences }
}

function differencesOf(before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  const missing = [...before].filter((row) => !after.has(row)).map((row) => `not found again: ${row}`)
  const more = [...after].filter((row) => !before.has(row)).map((row) => `not found before: ${row}`)
  return [...missing, ...more]
}

/** What the generations that people see have found, in words; of the joins that read the log again, under their first names. */
async function findings(db: Db, which: 'once' | 'again'): Promise<Set<string>> {
  const groups = `
    (SELECT group_id, generation, kind, '/groups/' || name AS source, replace(name, '-again', '') AS name FROM consumer_groups
     WHERE (name LIKE '%-again') = ${which === 'again'}) AS g`
  const of = (table: string) => `FROM ${table} t JOIN ${groups} USING (group_id, generation)`
  const rows = await withTransaction(db, (tx) =>
    rowsOf(
      tx,
      `
    SELECT concat_ws(', ', name, t.tenant_id, t.key, start_at, end_at, result) AS words ${of('window_results')}
    UNION ALL SELECT concat_ws(', ', name, t.tenant_id, 'late', seq, t.key, t.watermark) ${of('late_events')}
    UNION ALL SELECT concat_ws(', ', name, t.tenant_id, 'waits', side, at, seq, expires_at, matched) ${of('join_rows')}
    UNION ALL SELECT concat_ws(', ', name, t.tenant_id, 'dead', seq, error_class, message)
              FROM group_dead_letters t JOIN ${groups} USING (group_id) WHERE kind = 'join'
    UNION ALL SELECT concat_ws(', ', name, t.tenant_id, 'emitted', t.key, occurred_at, causation_id, payload)
              FROM raw_events t JOIN ${groups} USING (source) WHERE kind IN ('window', 'join')`,
    ),
  )
  return new Set(rows.map(({ words }) => words))
}
