/** Changes of the tables while the pipeline runs, as their owner. */
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { checkedDatabaseUrl } from './database-url.js'
import { asRole, findOwner } from './owner.js'

/**
 * How long such a change waits for a lock, in milliseconds: every later statement on the table waits behind it. The
 * caller that gets SQLSTATE 55P03 tries again after a pause.
 */
const LOCK_PATIENCE_MS = 200

/**
 * Opens a separate connection with the rights of the tables' owner, without the timeouts of the pipeline, and closes it
 * after `work`, which has no other: so it may take advisory locks of the session. Locks of tables are waited for
 * `LOCK_PATIENCE_MS`. Rejects if Postgres is away, or with the error of `work`.
 */
export async function asOwner<Result>(url: string, work: (db: Kysely<unknown>) => Promise<Result>): Promise<Result> {
  const config = { connectionString: checkedDatabaseUrl(url), connectionTimeoutMillis: 3_000, max: 1 }
  const asker = new pg.Pool(config)
  asker.on('error', () => {})
  const owner = await findOwner(asker).finally(() => asker.end())
  const pool = new pg.Pool({
    ...config,
    application_name: 'eventflow-upkeep',
    ...(owner !== undefined && asRole(owner)),
  })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await kysely.connection().execute(async (db) => {
      await sql`SET lock_timeout = ${sql.lit(LOCK_PATIENCE_MS)}`.execute(db)
      return work(db)
    })
  } finally {
    await pool.end()
  }
}
