/**
 * `event_schemas` and `event_schema_modes`: the versions of each type's schema, append-only, and how new ones are
 * compared. Definitions register their versions for the tenant `default`; these apply to every tenant, and each tenant
 * may add its own.
 */
import type { CompatibilityMode } from '@eventflow/core'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { asTenant } from '../server/as-tenant.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from '../tenants/audit-log.js'
import { lockTenant, OPERATOR_TENANT, requireWithin } from '../tenants/tenants.js'

/** The mode of a type for which none is set. */
const DEFAULT_MODE: CompatibilityMode = 'BACKWARD'

/** Versions of a tenant over HTTP, of all types together: every process keeps their numbers in memory. */
const VERSIONS = {
  count: `SELECT count(*) FROM event_schemas WHERE tenant_id = $1 AND origin = 'api'`,
  limit: 2_000,
  what: 'schema versions',
}

/** Types for which a tenant has set a mode. */
const MODES = {
  count: 'SELECT count(*) FROM event_schema_modes WHERE tenant_id = $1',
  limit: 2_000,
  what: 'types with their own mode',
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
  /** Its origin: a definition, which is trusted, or HTTP. */
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

/** Whether a row of `event_schemas` comes from a definition, and so applies to all tenants. */
const OF_DEFINITIONS = `tenant_id = '${OPERATOR_TENANT}' AND origin = 'code'`

/** The versions that apply to tenant $1. Its own take precedence over those of the definitions with the same number. */
const COUNTING = `(
  SELECT DISTINCT ON (type, version) * FROM event_schemas
  WHERE tenant_id = $1 OR (${OF_DEFINITIONS}) ORDER BY type, version, tenant_id = $1 DESC) AS counting`

/** Resolves with the types that have a schema for a tenant, by name. */
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

/** Resolves with all versions of a type's schema, in order. */
export async function readSchemaVersions(db: Db, { tenantId, type }: SchemaSubject): Promise<SchemaVersion[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(`SELECT ${COLUMNS} FROM ${COUNTING} WHERE type = $2 ORDER BY version`, [tenantId, type]),
  )
  return rows
}

/** Resolves with one version of a type's schema, or undefined. */
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

/**
 * Sets how new versions of a type are compared from now on. Rejects with TenantLimitError if too many types have a
 * mode.
 */
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

/** Resolves with the number of a version with the same JSON; the last one if there are several. */
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
  /** The last version when this one was compared; 0 if there was none. */
  after: number
  origin: 'code' | 'api'
  by: string
}

/**
 * Adds a version. Resolves with false if another one was added meanwhile. Rejects with TenantLimitError if the tenant
 * has too many.
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

/** Resolves with the versions that were registered after the one with this id, in order. Cheap if there are none. */
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

/** Resolves with those of the given versions that exist; `own`: the version belongs to the tenant itself. */
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
