/** API keys: no access without one, beyond its scopes, or after its end. */
import { createHash } from 'node:crypto'
import { createApiKey, createBootstrapKey, createTenant, SCOPES, type Scope, setQuota } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  createDatabase,
  post,
  redisUrl,
  startPipeline,
  startProgramProcess,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const note = defineEvent({ type: 'note', schema: Type.Object({}) })
const EVENT = { type: 'note', data: {} }

/** The scope of each route; the others follow from the method. */
const ROUTES: [method: string, path: string, scope: Scope][] = [
  ['POST', '/v1/events', 'ingest'],
  ['POST', '/v1/events/batch', 'ingest'],
  ['GET', '/v1/events', 'read'],
  ['GET', '/v1/events/1', 'read'],
  ['GET', '/v1/event-types', 'read'],
  ['GET', '/v1/dead-letters', 'read'],
  ['GET', '/v1/dead-letters/1', 'read'],
  ['GET', '/v1/waiting', 'read'],
  ['GET', '/v1/live', 'read'],
  ['GET', '/v1/operations', 'read'],
  ['GET', '/v1/operations/1', 'read'],
  ['GET', '/metrics/summary', 'read'],
  ['GET', '/v1/schemas', 'read'],
  ['POST', '/v1/schemas/1/check', 'read'],
  ['PUT', '/v1/schemas/1', 'admin'],
  ['POST', '/v1/dead-letters/replay', 'replay'],
  ['POST', '/v1/dead-letters/discard', 'replay'],
  ['POST', '/v1/events/replay', 'replay'],
  ['POST', '/v1/operations/1/resume', 'replay'],
  ['POST', '/v1/operations/1/cancel', 'replay'],
  ['POST', '/v1/waiting/1/skip', 'replay'],
  ['GET', '/v1/audit-log', 'admin'],
  ['GET', '/v1/keys', 'admin'],
  ['POST', '/v1/keys', 'admin'],
  ['DELETE', '/v1/keys/1', 'admin'],
]

const OPEN = ['/livez', '/readyz', '/health', '/metrics', '/docs', '/openapi.json']

/** Has the form of an API key, but does not exist. */
const FIRST = `ef_0123456789ab_${createHash('sha256').update('first').digest('hex')}`

let pipeline: TestPipeline
let admin: string

beforeAll(async () => {
  pipeline = await startPipeline([note], { EVENTFLOW_AUTH: 'required' })
  await createBootstrapKey(pipeline.db, FIRST)
  admin = (await make(SCOPES, FIRST)).key
})

afterAll(() => pipeline.stop())

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: object) =>
  fetch(`${pipeline.url}${path}`, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  })

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
async function json(method: string, path: string, key: string, body?: object): Promise<any> {
  return (await ask(method, path, bearer(key), body)).json()
}

const make = (scopes: readonly Scope[], by = admin, more = {}) =>
  json('POST', '/v1/keys', by, { name: scopes.join(' '), scopes, ...more })

const statusWith = async (key: string) => (await post(`${pipeline.url}/v1/events`, EVENT, bearer(key))).status

test.each(ROUTES)('%s %s accepts a key with its scope, and no other', async (method, path, scope) => {
  const body = ['POST', 'PUT'].includes(method) ? {} : undefined
  const without = await ask(method, path, {}, body)
  expect([without.status, without.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  expect(await without.json()).toMatchObject({ code: 'unauthorized', status: 401 })
  const others = await make(SCOPES.filter((other) => other !== scope))
  const refused = await ask(method, path, bearer(others.key), body)
  expect([refused.status, await refused.json()]).toEqual([403, expect.objectContaining({ code: 'forbidden' })])
  const only = await make([scope])
  expect([401, 403]).not.toContain((await ask(method, path, bearer(only.key), body)).status)
})

test('no route under /v1 is open, with any method', async () => {
  const { paths } = (await (await ask('GET', '/openapi.json')).json()) as { paths: Record<string, object> }
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path.replaceAll(/\{\w+\}/g, '1')] as const),
  )
  const open = []
  for (const [method, path] of routes) {
    for (const tried of method === 'GET' ? ['GET', 'HEAD'] : [method]) {
      if ((await ask(tried, path)).status !== 401) open.push(path)
    }
  }
  expect(routes.length).toBeGreaterThan(ROUTES.length)
  expect(new Set(open.filter((path) => !OPEN.includes(path)))).toEqual(new Set())
})

test.each(OPEN)('%s is open', async (path) => {
  expect((await ask('GET', path)).status).toBe(200)
})

test.each([
  ['nothing', {}],
  ['another scheme', { authorization: 'Basic YTpi' }],
  ['no key', { authorization: 'Bearer ' }],
  ['a text that is not a key', bearer('x'.repeat(8_000))],
  ['the id of a key with another secret', bearer(`ef_0123456789ab_${'6'.repeat(64)}`)],
  ['a key in capitals', bearer(FIRST.toUpperCase())],
  ['a key that does not exist', bearer(`ef_${'a'.repeat(12)}_${'b'.repeat(64)}`)],
  ['injection', bearer(`ef_0123456789ab_${'5'.repeat(63)}'`)],
])('%s is refused', async (_, headers) => {
  expect((await ask('POST', '/v1/events', headers, EVENT)).status).toBe(401)
})

test('a key in the URL does not count', async () => {
  expect((await ask('GET', `/v1/events?key=${admin}&access_token=${admin}`)).status).toBe(401)
})

describe('the end of a key', () => {
  test('comes within seconds of the revocation, also for a key in use, and is in the audit log', async () => {
    const { id, key, name } = await make(['ingest'])
    expect(await statusWith(key)).toBe(202)
    expect((await json('DELETE', `/v1/keys/${id}`, admin)).revoked_at).toEqual(expect.any(String))
    const revokedAt = performance.now()
    await until('the key is refused', async () => (await statusWith(key)) === 401)
    expect(performance.now() - revokedAt).toBeLessThan(5_000)
    const { items } = await json('GET', '/v1/audit-log?limit=2', admin)
    const subject = `key ${id} ${name} (ingest)`
    const actor = `key ${admin.slice(3, 15)}`
    expect(items).toMatchObject([
      { action: 'revoke-key', subject, actor },
      { action: 'create-key', subject, actor },
    ])
    expect((await ask('DELETE', `/v1/keys/${id}`, bearer(admin))).status).toBe(404)
  })

  test('may be scheduled: until then the old key and the new one are both valid', async () => {
    const { id, key } = await make(['ingest'])
    const { revoked_at } = await json('DELETE', `/v1/keys/${id}?after_hours=2`, admin)
    expect(Date.parse(revoked_at) - Date.now()).toBeGreaterThan(3_600_000)
    const successor = await make(['ingest'])
    expect([await statusWith(key), await statusWith(successor.key)]).toEqual([202, 202])
    await pipeline.db.query(`UPDATE api_keys SET revoked_at = now() + interval '1 second' WHERE key_id = $1`, [id])
    await until('it has ended', async () => (await statusWith(key)) === 401)
    expect(await statusWith(successor.key)).toBe(202)
  })

  test('comes at the moment of its expiry', async () => {
    const { id, key, expires_at } = await make(['ingest'], admin, { expires_in_days: 30 })
    expect(Math.round((Date.parse(expires_at) - Date.now()) / 86_400_000)).toBe(30)
    const { rows } = await pipeline.db.query(
      `UPDATE api_keys SET expires_at = clock_timestamp() + interval '700 ms' WHERE key_id = $1 RETURNING expires_at`,
      [id],
    )
    expect(await statusWith(key)).toBe(202)
    await until('it is refused', async () => (await statusWith(key)) === 401)
    const late = Date.now() - rows[0].expires_at.getTime()
    expect(late).toBeGreaterThanOrEqual(0)
    expect(late).toBeLessThan(1_000)
  })
})

test('the table stores a hash of a key, and lists show neither', async () => {
  const { key } = await make(['ingest'])
  const { rows } = await pipeline.db.query('SELECT api_keys::text AS row FROM api_keys')
  const { items } = await json('GET', '/v1/keys', admin)
  const seen = JSON.stringify([rows, items])
  expect(seen).toContain(key.slice(3, 15))
  expect(seen).not.toContain(key.slice(16))
  expect(JSON.stringify(items)).not.toContain('hash')
})

test('the last use of a key is recorded, at most once a minute', async () => {
  const { id, key } = await make(['ingest'])
  const used = async () => (await json('GET', '/v1/keys', admin)).items.find((item: { id: string }) => item.id === id)
  expect((await used()).last_used_at).toBeNull()
  await statusWith(key)
  const first = await until('it is noted', async () => ((await used()).last_used_at as string | null) ?? undefined)
  // A quota is read with the key at the next look-up; the result is written before the next time.
  for (const eventsPerSecond of [1_000, null]) {
    await setQuota(pipeline.db, 'default', { eventsPerSecond, bytesPerSecond: null }, 'test')
    await until('it was looked up again', async () => {
      const { headers } = await post(`${pipeline.url}/v1/events`, EVENT, bearer(key))
      return headers.has('ratelimit') === (eventsPerSecond !== null)
    })
  }
  expect((await used()).last_used_at).toBe(first)
})

test('admin grants nothing of other scopes, and makes keys with any of them, for its own tenant; the audit log names it', async () => {
  await createTenant(pipeline.db, 'acme', 'test')
  const asked = { tenantId: 'acme', name: 'only admin', scopes: ['admin' as const], expiresInDays: 1 }
  const { id, key } = await createApiKey(pipeline.db, asked, 'test')
  expect(await statusWith(key)).toBe(403)
  const made = await make(['ingest', 'read', 'replay'], key, { expires_in_days: 2 })
  const { id: eventId } = await json('POST', '/v1/events', made.key, EVENT)
  const { rows } = await pipeline.db.query('SELECT tenant_id FROM raw_events WHERE event_id = $1', [eventId])
  expect(rows).toEqual([{ tenant_id: 'acme' }])
  const [entry] = (await json('GET', '/v1/audit-log?limit=1', key)).items
  expect(entry).toMatchObject({ action: 'create-key', actor: `key ${id}`, subject: expect.stringContaining(made.id) })
  const elsewhere = await ask('POST', '/v1/keys', bearer(key), { name: 'x', scopes: ['read'], tenant: 'default' })
  expect(elsewhere.status).toBe(400)
})

describe('a bootstrap key', () => {
  test('is valid for 90 days, and is unchanged by further starts', async () => {
    const found = async () =>
      (await json('GET', '/v1/keys', admin)).items.find((item: { name: string }) => item.name === 'bootstrap')
    const { id, created_at, expires_at } = await found()
    expect([id, (Date.parse(expires_at) - Date.parse(created_at)) / 86_400_000]).toEqual(['0123456789ab', 90])
    await pipeline.db.query(`UPDATE api_keys SET expires_at = now() + interval '1 day' WHERE key_id = $1`, [id])
    const before = await found()
    await createBootstrapKey(pipeline.db, FIRST)
    expect((await found()).expires_at).toBe(before.expires_at)
  })

  test('with the id of a key that has another secret is refused, with the remedy', async () => {
    const other = `${FIRST.slice(0, 16)}${createHash('sha256').update('other').digest('hex')}`
    await expect(createBootstrapKey(pipeline.db, other)).rejects.toThrow(
      /^EVENTFLOW_BOOTSTRAP_KEY has a different secret than the existing key 0123456789ab\. .* a new id .* eventflow keys revoke 0123456789ab$/,
    )
    expect(await statusWith(FIRST)).toBe(202)
    expect(await statusWith(other)).toBe(401)
  })

  test.each([
    ['zeros', '0'.repeat(64)],
    ['a digit again and again', 'f'.repeat(64)],
    ['a word again and again', 'ca11ab1e'.repeat(8)],
    ['all digits again and again', '0123456789abcdef'.repeat(4)],
    ['half of it twice', createHash('sha256').update('a').digest('hex').slice(32).repeat(2)],
    ['few digits', '0110100110010110'.padEnd(64, '10')],
  ])('that can be guessed is refused: %s', async (_, secret) => {
    await expect(createBootstrapKey(pipeline.db, `ef_abcdefabcdef_${secret}`)).rejects.toThrow(
      /^EVENTFLOW_BOOTSTRAP_KEY has a secret that can be guessed: create one with .*openssl rand -hex 32/,
    )
    const { rows } = await pipeline.db.query(`SELECT FROM api_keys WHERE key_id = 'abcdefabcdef'`)
    expect(rows).toEqual([])
  })
})

test('a publicly reachable program does not start without a key, and says how to make one', async () => {
  const settings = {
    DATABASE_URL: await createDatabase(),
    REDIS_URL: redisUrl(),
    EVENTFLOW_EVENTS: new URL('../traced-events', import.meta.url).pathname,
  }
  const start = (more: Record<string, string>) => startProgramProcess('ingest', { ...settings, ...more })
  await expect(start({ EVENTFLOW_HOST: '0.0.0.0' })).rejects.toThrow(/EVENTFLOW_HOST is 0\.0\.0\.0[\s\S]*keys create/)
  await expect(start({ EVENTFLOW_AUTH: 'required' })).rejects.toThrow(/EVENTFLOW_AUTH is required[\s\S]*keys create/)
  const bootstrapped = await start({ EVENTFLOW_AUTH: 'required', EVENTFLOW_BOOTSTRAP_KEY: FIRST })
  const url = `${bootstrapped.url}/v1/keys`
  expect((await fetch(url)).status).toBe(401)
  expect((await fetch(url, { headers: bearer(FIRST) })).status).toBe(200)
  expect(bootstrapped.lines.join('\n')).not.toContain(FIRST.slice(16))
  bootstrapped.kill('SIGTERM')
  await bootstrapped.exited
})
