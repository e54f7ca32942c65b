/**
 * `api_keys`: the API keys. A key is `ef_`, its id, and 256 random bits. It is shown once, when it is created; the
 * table stores its hash. A key is *valid* until it expires or is revoked. A revocation may lie in the future: until
 * then both the old key and its successor are valid.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { asTenant } from '../server/as-tenant.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from './audit-log.js'
import { lockTenant, type Quota, requireWithin } from './tenants.js'

/**
 * The scopes of a key: send events; read; replay, discard and skip events; manage keys, schemas and the audit log. No
 * scope includes another, but `admin` may create keys with any scope.
 */
export const SCOPES = ['ingest', 'read', 'replay', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** A key without its secret. */
export interface ApiKey {
  id: string
  tenantId: string
  name: string
  scopes: Scope[]
  createdAt: Date
  expiresAt: Date | null
  /** May be in the future. */
  revokedAt: Date | null
  /** Accurate to a minute. */
  lastUsedAt: Date | null
}

/** The form of a key: its id and its secret. */
export const API_KEY_FORM = /^ef_([0-9a-f]{12})_([0-9a-f]{64})$/

const COLUMNS = `
  key_id AS id, tenant_id AS "tenantId", name, scopes, created_at AS "createdAt", expires_at AS "expiresAt",
  revoked_at AS "revokedAt", last_used_at AS "lastUsedAt"`

const VALID = `(expires_at IS NULL OR expires_at > now()) AND (revoked_at IS NULL OR revoked_at > now())`

/** The most valid keys of a tenant; as many as are listed. */
const KEYS = {
  count: `SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND ${VALID}`,
  limit: 1_000,
  what: 'valid keys: revoke an unused one',
}

const hashOf = (key: string) => createHash('sha256').update(key).digest()

/**
 * Creates a key, with a row in the audit log. `key` is returned here only. Rejects with TenantLimitError if the tenant
 * has too many valid ones.
 */
export async function createApiKey(
  db: Db,
  asked: Pick<ApiKey, 'tenantId' | 'name' | 'scopes'> & { expiresInDays?: number | undefined },
  actor: string,
): Promise<ApiKey & { key: string }> {
  const id = randomBytes(6).toString('hex')
  const key = `ef_${id}_${randomBytes(32).toString('hex')}`
  return { ...(await insertApiKey(db, { id, key, ...asked }, actor))!, key }
}

/** Days for which a bootstrap key is valid: its only purpose is to create the keys that are used. */
const BOOTSTRAP_KEY_DAYS = 90

/** EVENTFLOW_BOOTSTRAP_KEY is unusable; the message says what to do. */
export class BootstrapKeyError extends Error {
  override name = 'BootstrapKeyError'
}

/**
 * Creates the first key of a new installation, from its settings. An existing one is left unchanged, valid or not.
 * Rejects with BootstrapKeyError if the key could be guessed, or its id belongs to a key with another secret.
 */
export async function createBootstrapKey(db: Db, key: string): Promise<void> {
  const [, id, secret] = API_KEY_FORM.exec(key) ?? []
  if (id === undefined || secret === undefined)
    throw new BootstrapKeyError('EVENTFLOW_BOOTSTRAP_KEY must be ef_, 12 hexadecimal digits, _, and 64 more')
  if (isGuessable(secret)) {
    const made = `create one with  echo "ef_$(openssl rand -hex 6)_$(openssl rand -hex 32)"`
    throw new BootstrapKeyError(`EVENTFLOW_BOOTSTRAP_KEY has a secret that can be guessed: ${made}`)
  }
  const asked = { tenantId: 'default', name: 'bootstrap', scopes: [...SCOPES], expiresInDays: BOOTSTRAP_KEY_DAYS }
  if (await insertApiKey(db, { id, key, ...asked }, 'EVENTFLOW_BOOTSTRAP_KEY')) return
  const { rows } = await db.query('SELECT hash FROM api_keys WHERE key_id = $1', [id])
  if (timingSafeEqual(rows[0].hash, hashOf(key))) return
  throw new BootstrapKeyError(
    `EVENTFLOW_BOOTSTRAP_KEY has a different secret than the existing key ${id}. To replace a key, choose a new id ` +
      `(the 12 digits after ef_), and revoke the old key with  eventflow keys revoke ${id}`,
  )
}

/** Few different digits, or a repeated sequence: typed by hand. A random secret practically never looks like that. */
const isGuessable = (secret: string) => new Set(secret).size < 8 || /^(.{1,32})\1+$/.test(secret)

async function insertApiKey(
  db: Db,
  { id, key, tenantId, name, scopes, expiresInDays }: Parameters<typeof createApiKey>[1] & { id: string; key: string },
  actor: string,
): Promise<ApiKey | undefined> {
  return withTransaction(db, async (tx) => {
    await lockTenant(tx, tenantId)
    const { rows } = await tx.query(
      `INSERT INTO api_keys (key_id, tenant_id, name, hash, scopes, expires_at)
       VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 day') ON CONFLICT (key_id) DO NOTHING RETURNING ${COLUMNS}`,
      [id, tenantId, name, hashOf(key), scopes, expiresInDays],
    )
    const made: ApiKey | undefined = rows[0]
    if (!made) return undefined
    await requireWithin(tx, tenantId, KEYS)
    await audit(tx, made, 'create-key', actor)
    return made
  })
}

/** Resolves with all keys of a tenant: valid ones first, then the newest. */
export async function listApiKeys(db: Db, tenantId: string): Promise<ApiKey[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `SELECT ${COLUMNS} FROM api_keys WHERE tenant_id = $1 ORDER BY ${VALID} DESC, created_at DESC LIMIT 1000`,
      [tenantId],
    ),
  )
  return rows
}

/**
 * Revokes a key now or in some hours. Resolves with undefined if the tenant has no such key, or it ends by then anyway.
 */
export async function revokeApiKey(
  db: Db,
  { tenantId, id, afterHours = 0 }: { tenantId: string; id: string; afterHours?: number | undefined },
  actor: string,
): Promise<ApiKey | undefined> {
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query(
      `UPDATE api_keys SET revoked_at = now() + $3 * interval '1 hour'
       WHERE tenant_id = $1 AND key_id = $2 AND ${VALID}
         AND (revoked_at IS NULL OR revoked_at > now() + $3 * interval '1 hour')
       RETURNING ${COLUMNS}`,
      [tenantId, id, afterHours],
    )
    const revoked: ApiKey | undefined = rows[0]
    if (revoked) await audit(tx, revoked, 'revoke-key', actor)
    return revoked
  })
}

async function audit(tx: Queryable, key: ApiKey, action: string, actor: string): Promise<void> {
  const { tenantId, id, name, scopes } = key
  const subject = `key ${id} ${name} (${scopes.join(', ')})`
  await recordAudit(tx, { tenantId, actor, action, subject, filter: {}, count: 0, reason: null })
}

/** A valid key, with the quota of its tenant. */
export type ValidKey = ApiKey & { quota: Quota }

/** Resolves with those of the keys that are valid now. */
export async function findValidKeys(db: Queryable, keys: readonly string[]): Promise<Map<string, ValidKey>> {
  const ids = keys.map((key) => API_KEY_FORM.exec(key)?.[1])
  const { rows } = await db.query({
    name: 'find-valid-keys',
    text: `
      SELECT ${COLUMNS}, hash,
             (SELECT json_build_object('eventsPerSecond', events_per_second, 'bytesPerSecond', bytes_per_second)
              FROM tenants t WHERE t.tenant_id = api_keys.tenant_id) AS quota
      FROM api_keys WHERE key_id = ANY($1::text[]) AND ${VALID}`,
    values: [ids],
  })
  const stored = new Map(rows.map(({ hash, ...row }) => [row.id as string, { hash, known: row as ValidKey }]))
  return new Map(
    keys.flatMap((key, i) => {
      const found = stored.get(ids[i] ?? '')
      return found && timingSafeEqual(found.hash, hashOf(key)) ? [[key, found.known]] : []
    }),
  )
}

/** Whether there is any valid key. */
export async function hasValidKey(db: Queryable): Promise<boolean> {
  const { rows } = await db.query(`SELECT EXISTS (SELECT FROM api_keys WHERE ${VALID}) AS some`)
  return rows[0].some
}

/** Records that keys are in use, at most once a minute for each. */
export async function noteUse(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query({
    name: 'note-use-of-keys',
    text: `
      UPDATE api_keys SET last_used_at = now()
      WHERE key_id = ANY($1::text[]) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`,
    values: [ids],
  })
}
