/** The tables in parts beside those of the version before, on one Postgres; and what parts cost as they come and go. */
import type { Stack } from '../../stack.js'
import type { Terminal } from '../../terminal.js'
import { type Inserts, measureInserts } from './inserts.js'
import { type Fullness, keepLayouts, PARTS } from './layouts.js'
import { measureRetention, type RetentionFigures } from './retention.js'
import { explainStatements, type StatementFigures } from './statements.js'

/** How large the tables are, and the load beside retention. */
export interface LedgerOptions extends Fullness {
  /** Events a second beside retention. */
  rate: number
  /** Events of each part that retention removes. */
  retiredEvents: number
}

/** The results. */
export interface Ledger {
  options: LedgerOptions & { parts: number }
  inserts: Inserts[]
  statements: StatementFigures[]
  retention: RetentionFigures
}

/** Runs all of it. */
export async function measureLedger(
  stack: Stack,
  options: LedgerOptions,
  settings: { rounds: number; seconds: number; warmUpSeconds: number },
  terminal: Terminal,
): Promise<Ledger> {
  await keepLayouts(stack, options, terminal.now)
  const inserts = await measureInserts(stack, settings, terminal)
  const statements = await explainStatements(stack, terminal.now)
  const { rate, retiredEvents: partEvents } = options
  const retention = await measureRetention(stack, { ...settings, rate, partEvents }, terminal)
  return { options: { ...options, parts: PARTS }, inserts, statements, retention }
}
