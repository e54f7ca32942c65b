/** The lock of the door: which key a request needs, and what it opens. */
import { type Db, hasValidKey, OPERATOR_TENANT, SCOPES, type Scope } from '@eventflow/db'
import { ConfigError, type IngestConfig, isLoopback, whyForeign } from '@eventflow/runtime'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RequestError } from '../http/problem.js'
import type { Access, Keyring } from './keyring.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of requests to routes that have a scope. */
    access: Access
  }
  interface FastifyInstance {
    /**
     * Whether a request would be let in now as well: for what is answered later than it was asked, or for long. Rejects with
     * RequestError when it would not, and as Postgres does when that cannot be found out.
     */
    stillAllowed(request: FastifyRequest): Promise<void>
  }
  interface FastifyContextConfig {
    /** What a key must allow to get here; anybody may where it is missing. */
    scope?: Scope | undefined
    /** The same for requests from elsewhere, where requests from this machine need no key. */
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
  'POST /v1/schemas/:type/check': 'read',
  'GET /v1/audit-log': 'admin',
  'GET /v1/keys': 'admin',
  'GET /metrics/summary': 'read',
}

/** They tell of the pipeline as a whole, and so of all tenants together. */
const OF_THE_OPERATOR = new Set(['/v1/live', '/metrics/summary'])

/** Reading reads; to change anything that nobody has thought of here takes an admin. Health, metrics and pages are open. */
function scopeOf(method: string, route: string): Scope | undefined {
  const known = SCOPES_OF[`${method === 'HEAD' ? 'GET' : method} ${route}`]
  if (known || !route.startsWith('/v1/')) return known
  return method === 'GET' || method === 'HEAD' ? 'read' : 'admin'
}

/** Open routes, but closed to web pages where no keys are needed: they name event types and workers, and show examples. */
const OF_THIS_MACHINE = /^\/(health|metrics|docs|openapi\.json)(\/|$)/

/** Whether requests from this machine are taken without a key: only it can send them. */
export function needsNoKey({
  EVENTFLOW_AUTH,
  EVENTFLOW_HOST,
}: Pick<IngestConfig, 'EVENTFLOW_AUTH' | 'EVENTFLOW_HOST'>): boolean {
  return EVENTFLOW_AUTH === 'loopback' && isLoopback(EVENTFLOW_HOST)
}

/** Throws ConfigError where keys are needed and there is none: nobody could come in. */
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

/** Lets requests through to routes that have a scope: those with a key that has it and, where none is needed, those without. */
export function lock(app: FastifyInstance, { keyring, keyless }: { keyring: Keyring; keyless: boolean }): void {
  app.addHook('onRoute', (route) => {
    const scope = scopeOf(`${route.method}`, route.url)
    const foreignScope = scope ?? (keyless && OF_THIS_MACHINE.test(route.url) ? 'read' : undefined)
    route.config = { ...route.config, scope, foreignScope }
  })
  app.decorateRequest('access', null as unknown as Access)

  /** Gives a request its access, or what keeps it out; at once where its key is known. */
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
  // A body may take as long to arrive as a request may, and its key may have ended meanwhile.
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

/** What keeps a request out; it has its access from here on where nothing does. */
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
