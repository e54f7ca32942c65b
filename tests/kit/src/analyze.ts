/** Statistics for the planner, as a pipeline has them that runs for long. */
import { connect } from '@eventflow/db'
import { adminUrlOf } from './services.js'

/**
 * Reads the statistics of each table with rows, as autovacuum does: never those of a partitioned table itself, and none
 * of empty parts.
 */
export async function analyzeAsAutovacuum(url: string): Promise<void> {
  const admin = connect({ url: adminUrlOf(url), applicationName: 'test', max: 1, onIdleError: () => {} })
  const { rows } = await admin.query(`
    SELECT oid::regclass::text AS name FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND pg_relation_size(oid) > 0`)
  for (const { name } of rows) await admin.query(`ANALYZE ${name}`)
  await admin.end()
}
