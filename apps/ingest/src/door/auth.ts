/** Authentication and scopes: which key a request needs, and what it may do. */
import { type Db, hasValidKey, OPERATOR_TENANT, SCOPES, type Scope } from '@eventflow/db'
import { ConfigError, type IngestConfig, isLoopback, whyForeign } from '@eventflow/runtime'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RequestError } from '../http/problem.js'
import type { Access, Keyring } from './keyring.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on requests to routes that have a scope. */
    access: Access
  }
  interface FastifyInstance {
    /**
     * Whether a request would still be let in now, for answers that come late or last long. Rejects with RequestError
     * if not, and with the error of Postgres if that cannot be determined.
     */
    stillAllowed(request: FastifyRequest): Promise<void>
  }
  interface FastifyContextConfig {
    /** The scope that a key needs for this route; the route is open if undefined. */
    scope?: Scope | undefined
    /** The scope for requests from other machines, if requests from this machine need no key. */
    foreignScope?: Scope | undefined
  }
}

/** Routes whose scope does not follow from the method. */
const SCOPES_OF: Record<string, Scope> = {
  'POST /v1/events': 'ingest',
  'POST /v1/events/batch': 'ingest',
  'POST /v1/events/replay': 'replay',
  'POST /v1/dead-letters/replay': 'replay',
  'POST /v1/dead-letters/discard': 'replay',
  'POST /v1/operations/:id/resume': 'replay',
  'POST /v1/operations/:id/cancel': 'replay',
  'POST /v1/waiting/:id/skip': 'replay',
  'POST /v1/groups/:name/pause': 'replay',
  'POST /v1/groups/:name/resume': 'replay',
  'POST /v1/groups/:name/reset': 'replay',
  'POST /v1/groups/:name/dead-letters/replay': 'replay',
  'POST /v1/groups/:name/dead-letters/discard': 'replay',
  'PUT /v1/groups/:name/positions': 'replay',
  'POST /v1/schemas/:type/check': 'read',
  'GET /v1/audit-log': 'admin',
  'GET /v1/keys': 'admin',
  'GET /metrics/summary': 'read',
}

/** They show the pipeline as a whole, and so all tenants together. */
const OF_THE_OPERATOR = new Set(['/v1/live', '/metrics/summary'])

/**
 * Reads need `read`; a change by a route that is not listed above needs `admin`. Health, metrics and pages are open.
 */
function scopeOf(method: string, route: string): Scope | undefined {
  const known = SCOPES_OF[`${method === 'HEAD' ? 'GET' : method} ${route}`]
  if (known || !route.startsWith('/v1/')) return known
  return method === 'GET' || method === 'HEAD' ? 'read' : 'admin'
}

/**
 * Open routes that are closed to web pages if no keys are needed: they name event types and workers, and show examples.
 */
const OF_THIS_MACHINE = /^\/(health|metrics|docs|openapi\.json)(\/|$)/

/** Whether requests without a key are accepted: only if no other machine can send any. */
export function needsNoKey({
  EVENTFLOW_AUTH,
  EVENTFLOW_HOST,
}: Pick<IngestConfig, 'EVENTFLOW_AUTH' | 'EVENTFLOW_HOST'>): boolean {
  return EVENTFLOW_AUTH === 'loopback' && isLoopback(EVENTFLOW_HOST)
}

/** Throws ConfigError if keys are needed and there is none, because every request would be refused. */
export async function requireSomeKey(db: Db, config: IngestConfig): Promise<void> {
  if (needsNoKey(config) || (await hasValidKey(db))) return
  const { EVENTFLOW_AUTH, EVENTFLOW_HOST } = config
  const why =
    EVENTFLOW_AUTH === 'required'
      ? 'EVENTFLOW_AUTH is required'
      : `EVENTFLOW_HOST is ${EVENTFLOW_HOST}, not a loopback address`
  throw new ConfigError(
    `${why}: requests need an API key, but there is none. Create the first one with\n` +
      `  eventflow keys create --name first --scopes ${SCOPES.join(',')}\nor set one in EVENTFLOW_BOOTSTRAP_KEY`,
  )
}

const EVERYTHING: Access = { tenantId: OPERATOR_TENANT, scopes: new Set(SCOPES) }

/** Checks requests to routes that have a scope: they need a key with that scope, or none if `keyless`. */
export function lock(app: FastifyInstance, { keyring, keyless }: { keyring: Keyring; keyless: boolean }): void {
  app.addHook('onRoute', (route) => {
    const scope = scopeOf(`${route.method}`, route.url)
    const foreignScope = scope ?? (keyless && OF_THIS_MACHINE.test(route.url) ? 'read' : undefined)
    route.config = { ...route.config, scope, foreignScope }
  })
  app.decorateRequest('access', null as unknown as Access)

  /** Sets the access of a request, or returns the reason to refuse it; synchronously if its key is cached. */
  function letIn(request: FastifyRequest): RequestError | undefined | Promise<RequestError | undefined> {
    const { scope, foreignScope } = request.routeOptions.config
    if (foreignScope === undefined) return undefined
    const { authorization } = request.headers
    const needsNone = keyless && (authorization === undefined || scope === undefined)
    const why = needsNone ? whyForeign(request.raw) : undefined
    if (needsNone && why === undefined) {
      request.access = EVERYTHING
      return undefined
    }
    const key = authorization === undefined ? undefined : /^Bearer +(\S+)$/i.exec(authorization)?.[1]
    if (key === undefined) return unauthorized(why ? foreign(why) : MISSING)
    const enter = (access: Access | undefined) => refusal(access, foreignScope, request)
    const found = keyring.accessOf(key)
    return found instanceof Promise ? found.then(enter) : enter(found)
  }

  const hook = (request: FastifyRequest, _: FastifyReply, done: (error?: Error) => void) => {
    const refused = letIn(request)
    if (refused instanceof Promise) refused.then(done, done)
    else done(refused)
  }
  app.addHook('onRequest', hook)
  // A body may arrive slowly, and its key may have ended meanwhile.
  app.addHook('preValidation', (request, reply, done) => {
    if (request.body === undefined || request.is404 || request.access === EVERYTHING) return done()
    hook(request, reply, done)
  })
  app.decorate('stillAllowed', async (request: FastifyRequest) => {
    const refused = await letIn(request)
    if (refused) throw refused
  })
}

const MISSING = 'The header Authorization: Bearer with an API key is missing'

const foreign = (why: string) =>
  `Only requests from programs on this machine need no API key, and this one ${why}. Send it directly to the port at http://127.0.0.1, or with a key; behind a proxy set EVENTFLOW_AUTH=required`

/** Returns the reason to refuse a request; if there is none, sets its access. */
function refusal(access: Access | undefined, scope: Scope, request: FastifyRequest): RequestError | undefined {
  if (!access) return unauthorized('The API key is unknown, expired or revoked')
  if (!access.scopes.has(scope)) return new RequestError('forbidden', `This needs an API key with the scope ${scope}`)
  if (OF_THE_OPERATOR.has(request.routeOptions.url!) && access.tenantId !== OPERATOR_TENANT) {
    return new RequestError(
      'forbidden',
      `Only API keys of the tenant ${OPERATOR_TENANT} can read the state of the whole pipeline`,
    )
  }
  request.access = access
  return undefined
}

const unauthorized = (detail: string) =>
  new RequestError('unauthorized', detail, undefined, { 'www-authenticate': 'Bearer' })
