/** `eventflow keys` and `eventflow tenants`: API keys, tenants and quotas. */
import { userInfo } from 'node:os'
import {
  type ApiKey,
  createApiKey,
  createTenant,
  type Db,
  listApiKeys,
  listTenants,
  type Quota,
  revokeApiKey,
  SCOPES,
  type Scope,
  setQuota,
} from '@eventflow/db'
import { UsageError } from './arguments.js'
import { askPostgres } from './ask-postgres.js'
import { type Print, span, table } from './table.js'

/** Options that all these commands share. */
export interface KeysOptions {
  tenant: string
  json?: boolean
  print: Print
}

/** Creates a key and prints it; it cannot be shown again. Resolves with the exit code: 1 if there is no such tenant. */
export async function createKey(
  postgres: string,
  {
    tenant,
    name,
    scopes,
    expiresDays,
    json,
    print,
  }: KeysOptions & { name: string; scopes: Scope[]; expiresDays?: number },
): Promise<number> {
  return askPostgres(postgres, async (db) => {
    if (!(await isTenant(db, tenant, print))) return 1
    const made = await createApiKey(db, { tenantId: tenant, name, scopes, expiresInDays: expiresDays }, actor())
    if (json) print(JSON.stringify(made))
    else
      print(
        `${made.key}\n\nSave it now: it is not shown again. Send it as  Authorization: Bearer ${made.key.slice(0, 15)}…`,
      )
    return 0
  })
}

/** Prints the keys of a tenant, without their secrets. Resolves with the exit code. */
export async function listKeys(postgres: string, { tenant, json, print }: KeysOptions): Promise<number> {
  const keys = await askPostgres(postgres, (db) => listApiKeys(db, tenant))
  print(json ? JSON.stringify(keys) : shown(keys, new Date()))
  return 0
}

/** Revokes a key. Resolves with the exit code: 1 if there is no such key. */
export async function revokeKey(
  postgres: string,
  { tenant, id, afterHours, json, print }: KeysOptions & { id: string; afterHours?: number },
): Promise<number> {
  const revoked = await askPostgres(postgres, (db) => revokeApiKey(db, { tenantId: tenant, id, afterHours }, actor()))
  if (!revoked) print(`tenant ${tenant} has no key ${id} that would be valid after that time`)
  else if (json) print(JSON.stringify(revoked))
  else print(`${id} (${revoked.name}) is valid until ${momentOf(revoked.revokedAt!)}`)
  return revoked ? 0 : 1
}

/** Creates a tenant. Resolves with the exit code: 1 if the name exists. */
export async function createNewTenant(postgres: string, { id, print }: { id: string; print: Print }): Promise<number> {
  const made = await askPostgres(postgres, (db) => createTenant(db, id, actor()))
  print(
    made
      ? `tenant ${id} created; create its first key with eventflow keys create --tenant ${id}`
      : `tenant ${id} already exists`,
  )
  return made ? 0 : 1
}

/**
 * Sets the quota of a tenant; a limit that is not given is removed. Resolves with the exit code: 1 if there is no such
 * tenant.
 */
export async function limitTenant(
  postgres: string,
  { id, eventsPerSecond = null, bytesPerSecond = null, print }: { id: string; print: Print } & Partial<Quota>,
): Promise<number> {
  const quota = { eventsPerSecond, bytesPerSecond }
  const tenant = await askPostgres(postgres, (db) => setQuota(db, id, quota, actor()))
  const [events, bytes] = limitsOf(quota)
  print(tenant ? `tenant ${id} may send ${events} events/s and ${bytes} bytes/s` : `no tenant ${id}`)
  return tenant ? 0 : 1
}

const limitsOf = (quota: Quota) =>
  [quota.eventsPerSecond, quota.bytesPerSecond].map((limit) => `${limit ?? 'unlimited'}`)

/** Prints the tenants. Resolves with the exit code. */
export async function tenants(postgres: string, { json, print }: { json?: boolean; print: Print }): Promise<number> {
  const known = await askPostgres(postgres, listTenants)
  print(
    json
      ? JSON.stringify(known)
      : table(
          ['tenant', 'created', 'events/s', 'bytes/s'],
          known.map((tenant) => [tenant.id, momentOf(tenant.createdAt), ...limitsOf(tenant)]),
        ),
  )
  return 0
}

/** Parses scopes such as `ingest,read`. Throws a UsageError that lists the known scopes. */
export function readScopes(text: string): Scope[] {
  const names = [...new Set(text.split(','))]
  const known = names.filter((name): name is Scope => (SCOPES as readonly string[]).includes(name))
  if (known.length < names.length)
    throw new UsageError(`--scopes takes a comma-separated list of ${SCOPES.join(',')}, not ${text}`)
  return known
}

async function isTenant(db: Db, tenant: string, print: Print): Promise<boolean> {
  const known = (await listTenants(db)).some(({ id }) => id === tenant)
  if (!known) print(`no tenant ${tenant}: create it with eventflow tenants create ${tenant}`)
  return known
}

/** For the audit log: a user with the password of the database is named by the account on this machine. */
const actor = () => `${userInfo().username} at the command line`

function shown(keys: readonly ApiKey[], now: Date): string {
  if (keys.length === 0) return 'no keys'
  const rows = keys.map(({ id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }) => [
    id,
    name,
    scopes.join(','),
    momentOf(createdAt),
    lastUsedAt ? `${span((now.getTime() - lastUsedAt.getTime()) / 1_000)} ago` : 'never',
    stateOf(revokedAt, 'revoked', now) ?? stateOf(expiresAt, 'expired', now) ?? 'valid',
  ])
  return table(['key', 'name', 'scopes', 'created', 'last used', 'state'], rows)
}

function stateOf(end: Date | null, ended: string, now: Date): string | undefined {
  if (!end) return undefined
  return end <= now ? ended : `valid until ${momentOf(end)}`
}

const momentOf = (date: Date) => date.toISOString().slice(0, 19).concat('Z')
