/**
 * Separation of tenants over every route: for any request of a tenant, with any value of another's, no answer contains
 * anything of the others, and nothing of theirs changes.
 */
import { randomBytes } from 'node:crypto'
import { createApiKey, createTenant, registerGroups, SCOPES } from '@eventflow/db'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { insertRows, makeStateful, microsAt, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Answer, type Contract, readContract } from '../contract.js'

/** Requests to each route, by each tenant. */
const RUNS = 5

const step = defineEvent({
  type: 'step',
  schema: Type.Object({ secret: Type.String(), mood: Type.Optional(Type.String()) }, { additionalProperties: true }),
  retry: { attempts: 5, baseDelayMs: 86_400_000, maxDelayMs: 86_400_000 },
  async handle({ data }) {
    if (data.mood === 'bad') throw new PermanentError(`${data.secret} is refused`)
    if (data.mood === 'sad') throw new Error(`${data.secret} is not to be had`)
  },
})

/** The operator's tenant goes second to last: it sees the pipeline as a whole. The last one sends nothing. */
const TENANTS = ['ours', 'default', 'theirs'] as const
type Tenant = (typeof TENANTS)[number]

/** A tenant's own values, which no other tenant may see. */
interface Own {
  key: string
  keyId: string
  /** Contained in everything the tenant has written; no other tenant ever sends it. */
  secret: string
  /** The tenant's own name for a key, a type and the like, which others may guess. */
  name: string
  eventIds: string[]
  operationIds: string[]
  keyIds: string[]
  cursors: string[]
  /** Where its log can be read from. */
  places: string[]
}

const own = {} as Record<Tenant, Own>

let pipeline: TestPipeline
/** The window and the join in code. */
let windowId: number
let joinId: number
let contract: Contract

interface Asked {
  path: string
  body?: object | undefined
  headers?: Record<string, string>
}

async function ask(tenant: Tenant, method: string, { path, body, headers }: Asked): Promise<Answer> {
  return contract.ask(path, {
    method,
    headers: {
      authorization: `Bearer ${own[tenant].key}`,
      ...(body && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body && { body: JSON.stringify(body) }),
  })
}

const eventsOf = (secret: string, name: string) => [
  { type: 'step', id: 'fine', partitionkey: 'k', correlationid: secret, data: { secret } },
  { type: 'step', id: 'bad', partitionkey: 'k', correlationid: 'together', data: { secret, mood: 'bad' } },
  { type: 'step', id: 'sad', partitionkey: 'l', correlationid: name, data: { secret, mood: 'sad' } },
  { type: 'step', id: name, partitionkey: name, source: `/${name}`, data: { secret, mood: 'bad' } },
]

/** Creates one of everything for a tenant. */
async function furnish(tenant: Tenant): Promise<void> {
  const [secret, name] = ['secret', 'name'].map((word) => `${word}-of-${tenant}-${randomBytes(4).toString('hex')}`)
  await createTenant(pipeline.db, tenant, 'test')
  const { id, key } = await createApiKey(pipeline.db, { tenantId: tenant, name: secret!, scopes: [...SCOPES] }, 'test')
  own[tenant] = {
    key,
    keyId: id,
    secret: secret!,
    name: name!,
    eventIds: [],
    operationIds: [],
    keyIds: [],
    cursors: [],
    places: [],
  }
  const headers = { 'x-operator': secret! }
  const made = async (method: string, path: string, body?: object) => {
    const answer = await ask(tenant, method, { path, body, headers })
    expect([path, answer.status < 300]).toEqual([path, true])
    return answer.body
  }
  const { items } = await made('POST', '/v1/events/batch', eventsOf(secret!, name!))
  own[tenant].eventIds = items.map((item: { id: string }) => item.id)
  await until('they have come as far as they can', async () => {
    const { rows } = await pipeline.db.query('SELECT status FROM events WHERE tenant_id = $1 ORDER BY seq', [tenant])
    return /^processed,failed,retrying,failed$/.test(rows.map(({ status }) => status).join())
  })
  await buryInGroup(tenant)
  await fillWindows(tenant)
  const replay = { filter: { key: 'none' }, reason: secret }
  own[tenant].operationIds = [(await made('POST', '/v1/dead-letters/replay', replay)).id]
  own[tenant].keyIds = [(await made('POST', '/v1/keys', { name: secret, scopes: ['ingest'] })).id]
  const schema = { type: 'object', title: secret }
  await made('PUT', `/v1/schemas/${name}`, { schema })
  await made('PUT', '/v1/schemas/step', { schema: { ...schema, additionalProperties: true } })
  await made('PUT', '/v1/schemas/step/compatibility', { compatibility: 'NONE' })
  for (const path of ['/v1/events', '/v1/dead-letters', '/v1/audit-log']) {
    const { next } = await made('GET', `${path}?limit=1${path.includes('letters') ? '&status=all' : ''}`)
    own[tenant].cursors.push(next)
  }
  await made('PUT', `/v1/groups/${name}/positions`, { from: 'earliest' })
  for (const path of [
    'windows/revenue/results',
    'windows/revenue/open',
    'windows/revenue/late',
    'joins/enriched/waiting',
  ]) {
    own[tenant].cursors.push((await made('GET', `/v1/${path}?limit=1`)).next)
  }
  const { items: entries, next } = await made('GET', `/v1/log?group=${name}`)
  own[tenant].places = [next, entries[0].position]
}

/** Makes dead letters of the tenant's events in the group in code. */
async function buryInGroup(tenant: Tenant): Promise<void> {
  await pipeline.db.query(
    `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
       failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at)
     SELECT g.group_id, seq, partition, 0, f.tenant_id, event_id, type, key, payload, failure_type, error_class, message,
            errors, component, attempts, history, worker_id, correlation_id, accepted_at
     FROM failed_events f, consumer_groups g WHERE f.tenant_id = $1 AND g.name = 'invoicing'`,
    [tenant],
  )
}

/** Fills the window and the join in code with what the tenant's events may have left there. */
async function fillWindows(tenant: Tenant): Promise<void> {
  const { secret, eventIds } = own[tenant]
  const at = microsAt('10:00:00')
  const row = (key: string) => ({ generation: 1, partition: 0, tenant_id: tenant, key })
  const times = { start_at: '2026-01-31T10:00:00Z', end_at: '2026-01-31T10:05:00Z' }
  const late = { position: 1, occurred_at: times.start_at, watermark: times.end_at, type: 'step' }
  const pane = { start_at: at, first_open: at, end_at: at, close_at: at, state: { secret } }
  const [window, join] = [windowId, joinId].map((group_id) => ({ group_id }))
  await insertRows(pipeline.db, 'window_results', [{ ...row('k'), ...window, ...times, result: { secret } }])
  await insertRows(pipeline.db, 'window_state', [{ ...row('k'), ...window, ...pane }])
  const { rows } = await pipeline.db.query('SELECT seq, event_id FROM raw_events WHERE event_id = ANY($1)', [eventIds])
  await insertRows(
    pipeline.db,
    'late_events',
    rows.map((event) => ({ ...row('k'), ...window, ...event, ...late })),
  )
  await insertRows(
    pipeline.db,
    'join_rows',
    rows.map(({ seq }) => ({ ...row('k'), ...join, side: 'left', at, seq, expires_at: at, event: { secret } })),
  )
}

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  await registerGroups(pipeline.db, [{ name: 'invoicing', version: 1, types: ['step'], from: 'earliest' }])
  windowId = await makeStateful(pipeline.db, { name: 'revenue', kind: 'window' })
  joinId = await makeStateful(pipeline.db, { name: 'enriched', kind: 'join' })
  await pipeline.startWorker()
  // Foreign data that should not be shown is then older than the tenant's own.
  for (const tenant of [...TENANTS].reverse()) await furnish(tenant)
})

afterAll(() => pipeline.stop())

/** Some of these parts of a query. */
const query = (parts: Record<string, fc.Arbitrary<string>>) =>
  fc.record(parts, { requiredKeys: [] }).map((given) => {
    const text = `${new URLSearchParams(given as Record<string, string>)}`
    return text && `?${text}`
  })

/** Requests to every route, with values of the asking tenant and of the others alike. */
function requests(asking: Own, others: Own[]): Record<string, fc.Arbitrary<Asked>> {
  const all = [asking, ...others]
  const oneOf = (values: (one: Own) => string[]) => fc.constantFrom(...all.flatMap(values))
  const eventId = fc.oneof(
    oneOf(({ eventIds }) => eventIds),
    oneOf(({ name }) => ['fine', 'bad', 'sad', name]),
  )
  const ids = fc.array(
    oneOf(({ eventIds }) => eventIds),
    { minLength: 1, maxLength: 8 },
  )
  const key = oneOf(({ name }) => ['k', 'l', name])
  const type = oneOf(({ name }) => ['step', name])
  const ownGroup = oneOf(({ name }) => [name])
  const group = fc.oneof(ownGroup, fc.constantFrom('invoicing', 'revenue', 'enriched'))
  const stateful = fc.constantFrom('revenue', 'enriched')
  const time = fc.constantFrom('2001-01-01T00:00:00Z', '2999-01-01T00:00:00Z')
  const page = { limit: fc.constantFrom('1', '2', '100'), cursor: oneOf(({ cursors }) => cursors) }
  const texts = { type: fc.constant('step'), key, from: time }
  const filter = fc.record({ ids, ...texts }, { requiredKeys: [] })
  const source = oneOf(({ name }) => ['/', `/${name}`])
  const place = oneOf(({ places }) => ['earliest', 'latest', ...places])
  const partition = fc.constantFrom('0', '3', '12')
  const headers = fc.constant({ 'x-operator': asking.secret })
  const reason = fc.constant(asking.secret)
  const schema = fc.constantFrom<object>({ type: 'object' }, { type: 'object', properties: { a: { type: 'string' } } })
  const event = fc
    .record({ id: eventId, partitionkey: key, correlationid: key, source }, { requiredKeys: [] })
    .map((given) => ({ type: 'step', ...given, data: { secret: asking.secret } }))
  const to = (
    path: string | fc.Arbitrary<string>,
    parts: { [part in 'body' | 'headers']?: fc.Arbitrary<object> } = {},
  ) => fc.record({ path: typeof path === 'string' ? fc.constant(path) : path, ...parts }) as fc.Arbitrary<Asked>
  const at = (before: string, id: fc.Arbitrary<string>, after: string | fc.Arbitrary<string> = '') =>
    fc.tuple(id, typeof after === 'string' ? fc.constant(after) : after).map(([id, after]) => `${before}${id}${after}`)
  const operation = { rate: fc.constant(1_000), reason }
  const asked = (parts: Record<string, fc.Arbitrary<unknown>>) => ({ headers, body: fc.record(parts) })
  const dryRun = { dry_run: fc.boolean() }

  return {
    'POST /v1/events': to('/v1/events', { body: event }),
    'POST /v1/events/batch': to('/v1/events/batch', { body: fc.array(event, { maxLength: 4 }) }),
    'GET /v1/events': to(
      query({
        id: eventId,
        correlation_id: key,
        status: fc.constantFrom('failed', 'retrying', 'processed'),
        ...texts,
        ...page,
      }).map((text) => `/v1/events${text}`),
    ),
    'GET /v1/events/{id}': to(at('/v1/events/', eventId, query({ source, wait: fc.constant('1ms') }))),
    'POST /v1/events/replay': to(
      '/v1/events/replay',
      asked({
        target: fc.constant('processed'),
        filter: filter.map((given) => ({ type: 'step', ...given })),
        ...operation,
        ...dryRun,
      }),
    ),
    'GET /v1/dead-letters': to(
      query({
        status: fc.constantFrom('all', 'open', 'discarded'),
        group: fc.constant('true'),
        error_class: fc.constant('PermanentError'),
        ...texts,
        ...page,
      }).map((text) => `/v1/dead-letters${text}`),
    ),
    'GET /v1/dead-letters/{id}': to(at('/v1/dead-letters/', eventId, query({ source }))),
    'POST /v1/dead-letters/replay': to('/v1/dead-letters/replay', asked({ filter, ...operation, ...dryRun })),
    'POST /v1/dead-letters/discard': to('/v1/dead-letters/discard', asked({ filter, ...operation, ...dryRun })),
    'GET /v1/operations': to('/v1/operations'),
    'GET /v1/operations/{id}': to(
      at(
        '/v1/operations/',
        oneOf(({ operationIds }) => operationIds),
      ),
    ),
    'POST /v1/operations/{id}/resume': to(
      at(
        '/v1/operations/',
        oneOf(({ operationIds }) => operationIds),
        '/resume',
      ),
    ),
    'POST /v1/operations/{id}/cancel': to(
      at(
        '/v1/operations/',
        oneOf(({ operationIds }) => operationIds),
        '/cancel',
      ),
    ),
    'GET /v1/waiting': to('/v1/waiting'),
    'POST /v1/waiting/{id}/skip': to(at('/v1/waiting/', eventId, '/skip'), asked({ reason })),
    'GET /v1/log': to(
      query({ type, from: fc.oneof(place, time), group, partition, limit: page.limit, wait: fc.constant('1ms') }).map(
        (text) => `/v1/log${text}`,
      ),
    ),
    'GET /v1/groups/{name}/positions': to(at('/v1/groups/', group, '/positions')),
    'PUT /v1/groups/{name}/positions': to(
      at('/v1/groups/', group, '/positions'),
      asked({
        from: fc.constantFrom('earliest', 'latest'),
        ...{ next: fc.option(place, { nil: undefined }), reset: fc.boolean() },
        positions: fc.option(fc.dictionary(partition, place, { maxKeys: 2 }), { nil: undefined }),
      }),
    ),
    'GET /v1/event-types': to('/v1/event-types'),
    'GET /v1/audit-log': to(query(page).map((text) => `/v1/audit-log${text}`)),
    'GET /v1/groups': to(query(page).map((text) => `/v1/groups${text}`)),
    'GET /v1/groups/{name}': to(at('/v1/groups/', group)),
    'POST /v1/groups/{name}/pause': to(at('/v1/groups/', group, '/pause'), asked({ reason })),
    'POST /v1/groups/{name}/resume': to(at('/v1/groups/', group, '/resume'), asked({ skip_lost: fc.boolean() })),
    // A reset of the group in code would wait for a worker.
    'POST /v1/groups/{name}/reset': to(
      at('/v1/groups/', ownGroup, '/reset'),
      asked({ to: fc.oneof(fc.constantFrom('earliest', 'latest'), fc.record({ time })), ...dryRun }),
    ),
    'GET /v1/groups/{name}/dead-letters': to(
      at(
        '/v1/groups/',
        group,
        query({ status: fc.constant('all'), ...texts, ...page }).map((text) => `/dead-letters${text}`),
      ),
    ),
    'GET /v1/groups/{name}/dead-letters/{id}': to(
      at(
        '/v1/groups/',
        group,
        fc.tuple(eventId, query({ source })).map((parts) => `/dead-letters/${parts.join('')}`),
      ),
    ),
    // In the group in code, the operator changes the dead letters of all tenants.
    'POST /v1/groups/{name}/dead-letters/replay': to(
      at('/v1/groups/', group, '/dead-letters/replay'),
      asked({ filter, reason, dry_run: fc.constant(true) }),
    ),
    'POST /v1/groups/{name}/dead-letters/discard': to(
      at('/v1/groups/', ownGroup, '/dead-letters/discard'),
      asked({ filter, reason, ...dryRun }),
    ),
    'DELETE /v1/groups/{name}': to(at('/v1/groups/', ownGroup)),
    'GET /v1/windows': to(query(page).map((text) => `/v1/windows${text}`)),
    'GET /v1/windows/{name}': to(at('/v1/windows/', stateful)),
    'GET /v1/windows/{name}/results': to(
      at(
        '/v1/windows/',
        stateful,
        query({ key, from: time, to: time, ...page }).map((text) => `/results${text}`),
      ),
    ),
    'GET /v1/windows/{name}/open': to(
      at(
        '/v1/windows/',
        stateful,
        query({ key, ...page }).map((text) => `/open${text}`),
      ),
    ),
    'GET /v1/windows/{name}/late': to(
      at(
        '/v1/windows/',
        stateful,
        query({ ...texts, ...page }).map((text) => `/late${text}`),
      ),
    ),
    'GET /v1/joins': to(query(page).map((text) => `/v1/joins${text}`)),
    'GET /v1/joins/{name}': to(at('/v1/joins/', stateful)),
    'GET /v1/joins/{name}/waiting': to(
      at(
        '/v1/joins/',
        stateful,
        query({ key, side: fc.constantFrom('left', 'right'), ...page }).map((text) => `/waiting${text}`),
      ),
    ),
    'GET /v1/joins/{name}/late': to(
      at(
        '/v1/joins/',
        stateful,
        query({ ...texts, ...page }).map((text) => `/late${text}`),
      ),
    ),
    'GET /v1/keys': to('/v1/keys'),
    'POST /v1/keys': to('/v1/keys', asked({ name: reason, scopes: fc.constant(['read']) })),
    'DELETE /v1/keys/{id}': to(
      at('/v1/keys/', fc.constantFrom(...asking.keyIds, ...others.flatMap(({ keyId, keyIds }) => [keyId, ...keyIds]))),
    ),
    'GET /v1/schemas': to('/v1/schemas'),
    'GET /v1/schemas/{type}': to(at('/v1/schemas/', type)),
    'PUT /v1/schemas/{type}': to(at('/v1/schemas/', type), asked({ schema })),
    'GET /v1/schemas/{type}/versions/{version}': to(
      at('/v1/schemas/', type, fc.constantFrom('/versions/1', '/versions/2')),
    ),
    'POST /v1/schemas/{type}/check': to(at('/v1/schemas/', type, '/check'), asked({ schema })),
    'GET /v1/schemas/{type}/usage': to(at('/v1/schemas/', type, '/usage')),
    'GET /v1/schemas/{type}/compatibility': to(at('/v1/schemas/', type, '/compatibility')),
    'PUT /v1/schemas/{type}/compatibility': to(
      at('/v1/schemas/', type, '/compatibility'),
      asked({ compatibility: fc.constantFrom('NONE', 'FULL') }),
    ),
    'GET /v1/live': to('/v1/live'),
    'GET /metrics/summary': to(query({ counts: fc.constant('true') }).map((text) => `/metrics/summary${text}`)),
  }
}

/** The documented routes that need an API key. */
const routes = () =>
  Object.entries(contract.document.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, { responses }]) => responses[401])
      .map(([method]) => `${method.toUpperCase()} ${path}`),
  )

/** A checksum of all rows of a tenant, by table. The last use of a key is written at any time. */
async function checksums(tenant: Tenant): Promise<Record<string, string>> {
  const { rows: tables } = await pipeline.db.query(
    `SELECT relname AS name FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
     WHERE relkind IN ('r', 'p') AND NOT relispartition AND attname = 'tenant_id' ORDER BY relname`,
  )
  const sums = tables.map(async ({ name }) => {
    const { rows } = await pipeline.db.query(
      `SELECT count(*) || ' ' || coalesce(md5(string_agg(row, '' ORDER BY row)), '') AS sum
       FROM (SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM ${name} t WHERE tenant_id = $1) rows`,
      [tenant],
    )
    return [name, rows[0].sum]
  })
  return Object.fromEntries(await Promise.all(sums))
}

test('every route that needs an API key is requested', () => {
  expect(Object.keys(requests(own.ours, [own.theirs])).sort()).toEqual(routes().sort())
})

test('a foreign id is not found, as if it never existed', async () => {
  const { eventIds, operationIds, keyIds, name } = own.theirs
  const asked: [string, string][] = [
    ['GET', `/v1/events/${eventIds[0]}`],
    ['GET', `/v1/dead-letters/${eventIds[1]}`],
    ['GET', `/v1/operations/${operationIds[0]}`],
    ['DELETE', `/v1/keys/${keyIds[0]}`],
    ['GET', `/v1/schemas/${name}`],
    ['GET', `/v1/groups/${name}`],
    ['GET', '/v1/groups/invoicing'],
    ['GET', `/v1/groups/${name}/positions`],
    ['GET', `/v1/log?group=${name}`],
  ]
  for (const [method, path] of asked) expect((await ask('ours', method, { path })).status).toBe(404)
})

test('the live view of an operator contains nothing of other tenants', async () => {
  const abort = new AbortController()
  const headers = { authorization: `Bearer ${own.default.key}`, accept: 'text/event-stream' }
  const response = await fetch(`${pipeline.url}/v1/live`, { headers, signal: abort.signal })
  let text = ''
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk)
    if (text.includes(own.default.eventIds[2]!)) break
  }
  abort.abort()
  const { secret, name, eventIds } = own.theirs
  expect([secret, name, ...eventIds].filter((one) => text.includes(one))).toEqual([])
})

test.each(['ours', 'default'] as const)(
  'to %s no answer reveals anything of the others, and nothing of theirs changes',
  async (tenant) => {
    const others = TENANTS.filter((name) => name !== tenant)
    // Those that have sent requests may still have work in progress.
    const quiet = TENANTS.slice(TENANTS.indexOf(tenant) + 1)
    const before = await Promise.all(quiet.map(checksums))
    const secrets = others.map((other) => own[other].secret)
    const ofOthers = others.flatMap((other) => {
      const { name, key, keyId, eventIds, operationIds, keyIds } = own[other]
      return [name, key, keyId, ...eventIds, ...operationIds, ...keyIds]
    })
    const cases = requests(
      own[tenant],
      others.map((other) => own[other]),
    )
    let sent = ''
    for (const [route, request] of Object.entries(cases)) {
      const property = fc.asyncProperty(request, async (given) => {
        sent += JSON.stringify(given)
        const { status, text } = await ask(tenant, route.split(' ')[0]!, given)
        // Values that were sent may be repeated, also later: for example in the filters of operations.
        const guessed = ofOthers.filter((one) => text.includes(one) && !sent.includes(one))
        const told = [...guessed, ...secrets.filter((secret) => text.includes(secret))]
        expect([route, status < 500, told]).toEqual([route, true, []])
      })
      await fc.assert(property, { numRuns: RUNS })
    }
    expect(await Promise.all(quiet.map(checksums))).toEqual(before)
  },
)

test('its own objects are all there, under its own ids', async () => {
  const { eventIds, operationIds, keyIds, secret } = own.theirs
  const to = (path: string) => ask('theirs', 'GET', { path })
  for (const id of eventIds) expect((await to(`/v1/events/${id}`)).body.data.secret).toBe(secret)
  expect((await to('/v1/dead-letters')).body.items).toHaveLength(2)
  expect((await to('/v1/log')).body.items.map(({ id }: { id: string }) => id)).toEqual([eventIds[0]])
  expect((await to('/v1/waiting')).body.items).toMatchObject([{ id: eventIds[2], partitionkey: 'l' }])
  expect((await to(`/v1/operations/${operationIds[0]}`)).body.reason).toBe(secret)
  expect((await to('/v1/keys')).text).toContain(keyIds[0])
  expect((await to('/v1/windows/revenue/results')).body.items).toMatchObject([{ key: 'k', result: { secret } }])
  expect((await to('/v1/windows/revenue/open')).body.items).toMatchObject([{ key: 'k', state: { secret } }])
  expect((await to('/v1/windows/revenue/late')).body.items).toHaveLength(4)
  expect((await to('/v1/joins/enriched/waiting')).body.items).toHaveLength(4)
  expect(eventIds.filter((id) => own.ours.eventIds.includes(id))).toEqual([])
})

test('only the operator sees the pipeline as a whole', async () => {
  for (const path of ['/v1/live', '/metrics/summary']) {
    expect((await ask('ours', 'GET', { path })).body).toMatchObject({ code: 'forbidden' })
    expect((await ask('default', 'GET', { path })).status).toBe(200)
  }
})
