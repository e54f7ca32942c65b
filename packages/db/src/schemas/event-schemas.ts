/**
 * `event_schemas` and `event_schema_modes`: the versions of each type's schema, append-only, and how new ones are compared.
 * Definitions register theirs for the tenant `default`, and these count for every tenant, which may add versions of its own.
 */
import type { CompatibilityMode } from '@eventflow/core'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { asTenant } from '../server/as-tenant.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from '../tenants/audit-log.js'
import { lockTenant, OPERATOR_TENANT, requireWithin } from '../tenants/tenants.js'

/** The mode of a type for which none was set. */
const DEFAULT_MODE: CompatibilityMode = 'BACKWARD'

/** Versions that a tenant has from outside, of all types together: every process knows their numbers. */
const VERSIONS = {
  count: `SELECT count(*) FROM event_schemas WHERE tenant_id = $1 AND origin = 'api'`,
  limit: 2_000,
  what: 'versions of schemas',
}

/** Types for which a tenant has set a mode. */
const MODES = {
  count: 'SELECT count(*) FROM event_schema_modes WHERE tenant_id = $1',
  limit: 2_000,
  what: 'types with a mode of their own',
}

const NO_EVENTS = { filter: {}, count: 0, reason: null }

/** A type of a tenant. */
export interface SchemaSubject {
  tenantId: string
  type: string
}

export interface SchemaVersion {
  version: number
  schema: object
  /** Where it is from: a definition, which is trusted, or over HTTP. */
  origin: 'code' | 'api'
  registeredBy: string
  registeredAt: Date
}

/** A type that has a schema. */
export interface SchemaType {
  type: string
  latest: number
  versions: number
  compatibility: CompatibilityMode
  registeredAt: Date
}

const COLUMNS = `version, schema, origin, registered_by AS "registeredBy", registered_at AS "registeredAt"`

/** Whether a row of `event_schemas` is of the definitions, and so for all tenants. */
const OF_DEFINITIONS = `tenant_id = '${OPERATOR_TENANT}' AND origin = 'code'`

/** The versions that count for the tenant $1. Its own go before those of the definitions with the same number. */
const COUNTING = `(
  SELECT DISTINCT ON (type, version) * FROM event_schemas
  WHERE tenant_id = $1 OR (${OF_DEFINITIONS}) ORDER BY type, version, tenant_id = $1 DESC) AS counting`

/** The types that have a schema for a tenant, by name. */
export async function listSchemaTypes(db: Db, tenantId: string): Promise<SchemaType[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `SELECT type, max(version) AS latest, count(*) AS versions, coalesce(max(compatibility), $2) AS compatibility,
              max(registered_at) AS "registeredAt"
       FROM ${COUNTING} LEFT JOIN (SELECT type, compatibility FROM event_schema_modes WHERE tenant_id = $1) modes USING (type)
       GROUP BY type ORDER BY type`,
      [tenantId, DEFAULT_MODE],
    ),
  )
  return rows
}

/** All versions of a type's schema, the first one first. */
export async function readSchemaVersions(db: Db, { tenantId, type }: SchemaSubject): Promise<SchemaVersion[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(`SELECT ${COLUMNS} FROM ${COUNTING} WHERE type = $2 ORDER BY version`, [tenantId, type]),
  )
  return rows
}

/** One version of a type's schema; nothing when there is none. */
export async function findSchemaVersion(
  db: Db,
  { tenantId, type }: SchemaSubject,
  version: number,
): Promise<SchemaVersion | undefined> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query({
      name: 'find-schema-version',
      text: `SELECT ${COLUMNS} FROM ${COUNTING} WHERE type = $2 AND version = $3`,
      values: [tenantId, type, version],
    }),
  )
  return rows[0]
}

export async function readCompatibility(db: Db, { tenantId, type }: SchemaSubject): Promise<CompatibilityMode> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query('SELECT compatibility FROM event_schema_modes WHERE tenant_id = $1 AND type = $2', [tenantId, type]),
  )
  return rows[0]?.compatibility ?? DEFAULT_MODE
}

/** Sets how new versions of a type are compared, from now on. Throws TenantLimitError when modes of too many types are set. */
export async function setCompatibility(
  db: Db,
  { tenantId, type, compatibility, by }: SchemaSubject & { compatibility: CompatibilityMode; by: string },
): Promise<void> {
  await withTransaction(db, async (tx) => {
    await lockTenant(tx, tenantId)
    const { rowCount } = await tx.query(
      `INSERT INTO event_schema_modes AS m (tenant_id, type, compatibility) VALUES ($1, $2, $3)
       ON CONFLICT (tenant_id, type) DO UPDATE SET compatibility = excluded.compatibility
       WHERE m.compatibility <> excluded.compatibility`,
      [tenantId, type, compatibility],
    )
    if (rowCount === 0) return
    await requireWithin(tx, tenantId, MODES)
    const entry = { actor: by, action: 'set-schema-compatibility', subject: `${compatibility} for ${type}` }
    await recordAudit(tx, { tenantId, ...entry, ...NO_EVENTS })
  })
}

/** The number of a version that is like this one, as JSON; the last if there are several. */
export async function findSameSchema(
  db: Db,
  { tenantId, type }: SchemaSubject,
  schema: object,
): Promise<number | undefined> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(`SELECT max(version) AS version FROM ${COUNTING} WHERE type = $2 AND schema::jsonb = $3::jsonb`, [
      tenantId,
      type,
      JSON.stringify(schema),
    ]),
  )
  return rows[0].version ?? undefined
}

export interface NewSchemaVersion extends SchemaSubject {
  schema: object
  version: number
  /** The version that was the last one when this was compared; 0 where there was none. */
  after: number
  origin: 'code' | 'api'
  by: string
}

/**
 * Adds a version, and gives whether it could: not if another one was added meanwhile. Throws TenantLimitError when the tenant has
 * too many.
 */
export async function addSchemaVersion(db: Db, added: NewSchemaVersion): Promise<boolean> {
  const { tenantId, type, schema, version, after, origin, by } = added
  return withTransaction(db, async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.schemas])
    const { rowCount } = await tx.query(
      `INSERT INTO event_schemas (tenant_id, type, version, schema, origin, registered_by)
       SELECT $1, $2, $3, $4, $5, $6
       WHERE $7 = (SELECT coalesce(max(version), 0) FROM ${COUNTING} WHERE type = $2)`,
      [tenantId, type, version, JSON.stringify(schema), origin, by, after],
    )
    if (rowCount === 0) return false
    if (origin === 'api') await requireWithin(tx, tenantId, VERSIONS)
    const entry = { actor: by, action: 'register-schema', subject: `${type} version ${version}` }
    await recordAudit(tx, { tenantId, ...entry, ...NO_EVENTS })
    return true
  })
}

/** Versions that were registered after the one with this id, in their order: cheap when there are none. */
export async function readNewSchemas(
  db: Queryable,
  after: number,
): Promise<(SchemaSubject & { id: number; version: number })[]> {
  const { rows } = await db.query({
    name: 'read-new-schemas',
    text: `SELECT id, tenant_id AS "tenantId", type, version FROM event_schemas WHERE id > $1 ORDER BY id LIMIT 10000`,
    values: [after],
  })
  return rows
}

/** Versions of several types at once, those of them that there are; `own` says whether the tenant has it itself. */
export async function findSchemaVersions(
  db: Queryable,
  wanted: readonly (SchemaSubject & { version: number })[],
): Promise<(SchemaSubject & SchemaVersion & { own: boolean })[]> {
  const { rows } = await db.query({
    name: 'find-schema-versions',
    text: `SELECT DISTINCT ON (w.tenant_id, type, version)
                  w.tenant_id AS "tenantId", type, s.tenant_id = w.tenant_id AS own, ${COLUMNS}
           FROM unnest($1::text[], $2::text[], $3::integer[]) AS w(tenant_id, type, version)
           JOIN event_schemas s USING (type, version)
           WHERE s.tenant_id = w.tenant_id OR (s.${OF_DEFINITIONS})
           ORDER BY w.tenant_id, type, version, own DESC`,
    values: [wanted.map((w) => w.tenantId), wanted.map((w) => w.type), wanted.map((w) => w.version)],
  })
  return rows
}
