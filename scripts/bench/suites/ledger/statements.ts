/**
 * The hot statements on a ledger in thirty parts: how long Postgres plans and runs them, and how many locks they take.
 */
import { type Db, findRawEvents, insertProcessed, insertRawEvents, type Queryable, readUnsettled } from '@eventflow/db'
import { acceptAsBeforeParts, insertProcessedAsBeforeParts } from '@eventflow/testkit'
import pg from 'pg'
import { commitsOf, LEASES, newOrders, SETTLED_BY } from '../../load/inserts.js'
import type { Stack } from '../../stack.js'
import { spreadOf } from '../../statistics.js'
import type { LayoutName } from './layouts.js'

/** A statement with one kind of plan. Times in milliseconds. */
export interface StatementFigures {
  layout: LayoutName
  statement: string
  /** `custom`: planned for its values, each time. `generic`: planned once for any values. */
  plan: 'custom' | 'generic'
  /** The first time on a new connection, with empty caches. */
  firstPlanningMs: number
  /** The median of the later ones. */
  planningMs: number
  executionMs: number
  /** On tables and indexes, held until its transaction ends. */
  locks: number
  /**
   * How many of them are in the lock table that all backends share, and not in the slots of the backend (fast path).
   */
  sharedLocks: number
}

/** Events of each statement. */
const EVENTS = 50
/** How often each is repeated. */
const REPEATS = 7

interface Statement {
  layout: LayoutName
  name: string
  run: (db: Queryable) => Promise<unknown>
}

/** Explains each statement, on copies of the kept databases. */
export async function explainStatements(stack: Stack, now: (what: string) => void): Promise<StatementFigures[]> {
  const figures: StatementFigures[] = []
  for (const layout of ['by_id', 'parts_full'] as const) {
    await stack.reset(layout)
    for (const { name, run } of layout === 'by_id' ? ofById() : await ofParts(stack)) {
      now(`explaining: ${name}, ${layout}`)
      for (const plan of ['custom', 'generic'] as const) {
        figures.push({ layout, statement: name, plan, ...(await explain(stack, await recorded(stack.db, run), plan)) })
      }
    }
  }
  return figures
}

type Named = Omit<Statement, 'layout'>

function ofById(): Named[] {
  return [
    { name: 'accept', run: (db) => acceptAsBeforeParts(db, newOrders(EVENTS)) },
    {
      name: 'insert processed',
      run: (db) => insertProcessedAsBeforeParts(db, ordersFrom(1), LEASES, SETTLED_BY),
    },
  ]
}

async function ofParts({ db }: Stack): Promise<Named[]> {
  const { rows } = await db.query(
    `SELECT tenant_id AS "tenantId", event_id AS id, (SELECT last_value FROM event_seq)::float8 AS last
     FROM raw_events ORDER BY random() LIMIT $1`,
    [EVENTS],
  )
  const { last } = rows[0]
  const everyone = { tenantId: undefined, others: [] }
  // Every event is settled: so it looks at the last ones only, as a worker does that has just caught up.
  const ranges = LEASES.map(({ partition }) => ({ ...everyone, partition, after: last - EVENTS, until: last + 1_000 }))
  return [
    { name: 'accept', run: (tx) => insertRawEvents(tx, newOrders(EVENTS)) },
    { name: 'insert processed', run: (tx) => insertProcessed(tx, ordersFrom(last + 1), LEASES, SETTLED_BY) },
    { name: 'read unsettled', run: (tx) => readUnsettled(tx, ranges, { except: [], limit: EVENTS, bytes: 1e9 }) },
    { name: 'find by id', run: (tx) => findRawEvents(tx, rows) },
  ]
}

/** The commits of new orders with seqs from `first` on. */
function ordersFrom(first: number) {
  const orders = newOrders(EVENTS)
  const acceptedAt = new Date().toISOString()
  return commitsOf(orders, new Map(orders.map((order, n) => [order, { seq: first + n, acceptedAt }])))
}

interface Recorded {
  text: string
  values: unknown[]
}

/** The last statement that `run` sends. What it changes is taken back. */
async function recorded(db: Db, run: Statement['run']): Promise<Recorded> {
  const client = await db.connect()
  let last: Recorded | undefined
  const query = (config: Recorded) => {
    last = config
    return client.query(config.text, config.values)
  }
  try {
    await client.query('BEGIN')
    await run({ query } as unknown as Queryable)
    await client.query('ROLLBACK')
  } finally {
    client.release()
  }
  return last!
}

type Explained = Omit<StatementFigures, 'layout' | 'statement' | 'plan'>

/** On a connection of its own, so that its caches are empty. What the statement changes is taken back. */
async function explain(
  { db, databaseUrl }: Stack,
  { text, values }: Recorded,
  plan: StatementFigures['plan'],
): Promise<Explained> {
  const execute = `EXECUTE planned (${(await literalsOf(db, text, values)).join()})`
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query(`SET plan_cache_mode = force_${plan}_plan`)
    await client.query(`PREPARE planned AS ${text}`)
    const times: { planning: number; execution: number }[] = []
    for (let n = 0; n <= REPEATS; n++) {
      await client.query('BEGIN')
      const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${execute}`)
      await client.query('ROLLBACK')
      const [explained] = rows[0]['QUERY PLAN']
      times.push({ planning: explained['Planning Time'], execution: explained['Execution Time'] })
    }
    await client.query('BEGIN')
    await client.query(execute)
    const { rows } = await client.query(`
      SELECT count(*)::integer AS locks, (count(*) FILTER (WHERE NOT fastpath))::integer AS "sharedLocks" FROM pg_locks
      WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation <> 'pg_locks'::regclass`)
    await client.query('ROLLBACK')
    const [first, ...later] = times
    return {
      firstPlanningMs: first!.planning,
      planningMs: spreadOf(later.map(({ planning }) => planning)).median,
      executionMs: spreadOf(later.map(({ execution }) => execution)).median,
      ...rows[0],
    }
  } finally {
    await client.end()
  }
}

/** The values as SQL: EXPLAIN of a prepared statement takes no parameters. */
async function literalsOf(db: Stack['db'], text: string, values: readonly unknown[]): Promise<string[]> {
  const client = await db.connect()
  try {
    await client.query(`PREPARE typed AS ${text}`)
    const { rows: types } = await client.query(
      `SELECT unnest(parameter_types)::text AS type FROM pg_prepared_statements WHERE name = 'typed'`,
    )
    const literals: string[] = []
    for (const [n, { type }] of types.entries()) {
      const { rows } = await client.query(`SELECT quote_nullable(($1::${type})::text) AS literal`, [values[n]])
      literals.push(rows[0].literal)
    }
    return literals
  } finally {
    await client.query('DEALLOCATE ALL')
    client.release()
  }
}
