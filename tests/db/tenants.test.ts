/** The second wall: what Postgres itself hides from a tenant in any statement. */
import {
  addSchemaVersion,
  asTenant,
  connect,
  createApiKey,
  createTenant,
  type Db,
  migrate,
  SCOPES,
  setCompatibility,
} from '@eventflow/db'
import { acceptEvents, administer, adminUrlOf, createDatabase, newEvent } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const TABLES = [
  'event_ids',
  'raw_events',
  'processed_events',
  'failed_events',
  'retries',
  'operations',
  'audit_log',
  'api_keys',
  'event_schemas',
  'event_schema_modes',
  'log_replaying',
  'consumer_groups',
  'group_parked',
  'group_dead_letters',
  'log_marks',
  'log_holds',
  'group_watermarks',
  'window_state',
  'window_results',
  'late_events',
  'join_rows',
]

let db: Db

const open = (url: string, max = 2) => connect({ url, applicationName: 'test', max, onIdleError: () => {} })

beforeAll(async () => {
  db = open(await createDatabase())
  for (const tenantId of ['ours', 'theirs']) {
    await createTenant(db, tenantId, 'test')
    await createApiKey(db, { tenantId, name: tenantId, scopes: [...SCOPES] }, 'test')
    await acceptEvents(db, [{ ...newEvent(), tenantId }])
    const subject = { tenantId, type: 'note.taken', by: 'test' }
    await setCompatibility(db, { ...subject, compatibility: 'NONE' })
    await addSchemaVersion(db, { ...subject, schema: {}, version: 1, after: 0, origin: 'api' })
  }
})

afterAll(() => db.end())

/** The tenants whose rows a transaction of this tenant sees. */
const seenBy = (tenant: string, table: string) =>
  asTenant(db, tenant, async (tx) => {
    const { rows } = await tx.query(`SELECT DISTINCT tenant_id FROM ${table} ORDER BY 1`)
    return rows.map(({ tenant_id }) => tenant_id)
  })

test.each(['event_ids', 'raw_events', 'events', 'audit_log', 'api_keys', 'event_schemas', 'event_schema_modes'])(
  '%s has rows of both tenants, and shows each its own',
  async (table) => {
    const { rows } = await db.query(`SELECT DISTINCT tenant_id FROM ${table}`)
    expect(rows.map(({ tenant_id }) => tenant_id)).toEqual(expect.arrayContaining(['ours', 'theirs']))
    expect(await seenBy('ours', table)).toEqual(['ours'])
    expect(await seenBy('theirs', table)).toEqual(['theirs'])
    expect(await seenBy('unknown', table)).toEqual([])
    expect(await seenBy('', table)).toEqual([])
  },
)

test('every table with tenants has row security, and the list of tenants is shown to none', async () => {
  const { rows: walled } = await db.query(`
    SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid
    WHERE relrowsecurity AND polname = 'tenant' AND NOT polpermissive ORDER BY relname`)
  expect(walled.map(({ relname }) => relname)).toEqual([...TABLES].sort())
  const { rows: withTenants } = await db.query(`
    SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND attname = 'tenant_id' ORDER BY relname`)
  expect(withTenants.map(({ relname }) => relname)).toEqual([...TABLES, 'tenants'].sort())
})

test('the versions of definitions are visible to every tenant; other rows of their storing tenant are not', async () => {
  const subject = { tenantId: 'default', type: 'defined', by: 'test' }
  await addSchemaVersion(db, { ...subject, schema: {}, version: 1, after: 0, origin: 'code' })
  await addSchemaVersion(db, { ...subject, schema: {}, version: 2, after: 1, origin: 'api' })
  const seen = await asTenant(db, 'ours', (tx) => tx.query('SELECT tenant_id, type, version FROM event_schemas'))
  expect(seen.rows).toEqual([
    { tenant_id: 'ours', type: 'note.taken', version: 1 },
    { tenant_id: 'default', type: 'defined', version: 1 },
  ])
})

test('a transaction that names no tenant sees no rows, also after one that did', async () => {
  const one = open(db.options.connectionString!, 1)
  await asTenant(one, 'ours', (tx) => tx.query('SELECT 1'))
  await one.query('BEGIN')
  await one.query('SET LOCAL ROLE eventflow_tenant')
  const count = (table: string) => one.query(`SELECT count(*) AS count FROM ${table} WHERE tenant_id <> 'default'`)
  const counts = await Promise.all(TABLES.map(count))
  expect(counts.map(({ rows }) => rows[0].count)).toEqual(TABLES.map(() => 0))
  await one.query('ROLLBACK')
  const { rows } = await one.query('SELECT current_user = session_user AS itself, count(*) AS count FROM raw_events')
  expect(rows).toEqual([{ itself: true, count: 2 }])
  await one.end()
})

test.each([
  `INSERT INTO raw_events SELECT * FROM raw_events`,
  `UPDATE operations SET status = 'cancelled'`,
  `DELETE FROM api_keys`,
  `SELECT * FROM workers`,
  `SELECT * FROM tenants`,
  `SELECT * FROM raw_events_1`,
  `SELECT * FROM event_ids_1`,
])('%s is not for tenants', async (text) => {
  await expect(asTenant(db, 'ours', (tx) => tx.query(text))).rejects.toThrow(/permission denied/)
})

test('roles with the right to read still see everything', async () => {
  const role = `reader_${db.options.connectionString!.split('_').at(-1)}`
  const admin = adminUrlOf(db.options.connectionString!)
  await administer(`CREATE ROLE ${role}; GRANT SELECT ON raw_events TO ${role}`, admin)
  const one = open(admin, 1)
  await one.query(`SET ROLE ${role}`)
  expect((await one.query('SELECT count(*) AS count FROM raw_events')).rows).toEqual([{ count: 2 }])
  await one.end()
})

test('a database owner without superuser rights migrates and reads; one who may not create roles is told the fix', async () => {
  const url = new URL(await createDatabase({ migrated: false }))
  const name = url.pathname.slice(1)
  const admin = open(adminUrlOf(url.href), 1)
  await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO ${name}`)
  const { rows } = await admin.query(`SELECT oid FROM pg_roles WHERE rolname = 'eventflow_tenant'`)
  expect(rows).toHaveLength(1)
  url.username = name
  url.password = 'x'
  await expect(migrate(url.href, { partitions: 4 })).rejects.toThrow(
    `GRANT eventflow_tenant TO ${name} WITH INHERIT FALSE, SET TRUE`,
  )
  await admin.query(`GRANT eventflow_tenant TO ${name}`)
  await migrate(url.href, { partitions: 4 })
  const own = open(url.href)
  await acceptEvents(own, [{ ...newEvent(), partition: 0 }])
  const seen = (tenant: string) => asTenant(own, tenant, async (tx) => (await tx.query('SELECT FROM events')).rowCount)
  expect([await seen('default'), await seen('other')]).toEqual([1, 0])
  await Promise.all([own.end(), admin.end()])
})
