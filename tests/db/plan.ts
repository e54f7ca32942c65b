/** The plan with which Postgres runs a statement, and what it reads, for tests on tables in many parts. */
import { becomeTenant, type Db } from '@eventflow/db'

/** A node of a plan, with what came of it; the rows are an average of its loops. */
export interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: Plan[]
}

export const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
const LEDGER =
  /^(raw_events|processed_events|event_ids|log_marks|window_state|join_rows|group_watermarks|group_parked)(_\d+|_kept)?$/
const ofLedger = (plan: Plan) => nodesOf(plan).filter((node) => LEDGER.test(node['Relation Name'] ?? ''))
export const readWhole = (plan: Plan) =>
  ofLedger(plan).flatMap((node) => (/Seq Scan/.test(node['Node Type']) ? [node['Relation Name']!] : []))

/** How many rows of each table a plan has read. */
export function rowsRead(plan: Plan): Record<string, number> {
  const read: Record<string, number> = {}
  for (const node of ofLedger(plan)) {
    if (!/Scan/.test(node['Node Type'])) continue
    const table = LEDGER.exec(node['Relation Name']!)![1]!
    const each =
      node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
    read[table] = (read[table] ?? 0) + each * node['Actual Loops']
  }
  return read
}

export const MODES = ['force_custom_plan', 'force_generic_plan'] as const
export type Mode = (typeof MODES)[number]

/**
 * The plan with which Postgres runs the last statement of `run`, or the one with this name; what it changes is taken
 * back. `tenantId`: `run` reads as this tenant.
 */
export async function planOf(
  db: Db,
  run: (db: Db) => Promise<unknown>,
  mode: Mode,
  { name, tenantId }: { name?: string; tenantId?: string } = {},
): Promise<Plan> {
  let statement: { text: string; values: unknown[] } | undefined
  const client = await db.connect()
  const recording = {
    async query(config: { name?: string; text: string; values: unknown[] } | string) {
      // `run` is in our transaction.
      if (typeof config === 'string') return { command: config }
      if (config.name === (name ?? config.name) && config.name !== 'as-tenant') statement = config
      return client.query({ text: config.text, values: config.values })
    },
    connect: async () => ({ query: recording.query, release() {} }),
  }
  try {
    await client.query('BEGIN')
    await client.query('SAVEPOINT before')
    await run(recording as unknown as Db)
    const { text, values } = statement!
    await client.query('ROLLBACK TO before')
    if (tenantId !== undefined) await becomeTenant(recording as unknown as Db, tenantId)
    await client.query(`SET LOCAL plan_cache_mode = ${mode}`)
    await client.query(`PREPARE planned AS ${text}`)
    const { rows: types } = await client.query(
      `SELECT unnest(parameter_types)::text AS type FROM pg_prepared_statements WHERE name = 'planned'`,
    )
    const literals = []
    for (const [n, { type }] of types.entries()) {
      const { rows } = await client.query(`SELECT quote_nullable(($1::${type})::text) AS literal`, [values[n]])
      literals.push(rows[0].literal)
    }
    const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE planned (${literals.join()})`)
    return rows[0]['QUERY PLAN'][0].Plan
  } finally {
    await client.query('ROLLBACK')
    await client.query('DEALLOCATE ALL')
    client.release()
  }
}
