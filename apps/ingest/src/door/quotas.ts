/**
 * Quotas of tenants, shared by all ingest processes without a round trip during a request. Each process spends from its
 * local copy of the tenant's buckets; every SYNC_MS it reports its spending to Redis and gets the true levels. A bucket
 * may be overdrawn, by one request or by what other processes spend in that time; later requests are refused until it
 * is refilled. What a request sends is counted on arrival, before it is checked: refused events cost as much to read.
 * All other requests have a separate bucket. While Redis is away, each process counts its own spending only.
 */
import type { Quota } from '@eventflow/db'
import { type Redis, spendQuota } from '@eventflow/redis'
import type { Logger } from '@eventflow/runtime'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { RequestError } from '../http/problem.js'

const SYNC_MS = 100

/** The capacity of a bucket, in seconds of its rate. */
const BURST_S = 2

/** Requests without events: as many a second as events, and at least this many, for people and the console. */
const LEAST_REQUESTS = 50

interface Bucket {
  name: 'events' | 'bytes' | 'requests'
  rate: number
  /** At the time of the account. Below 0 it is overdrawn. */
  level: number
  /** Not yet reported to Redis. */
  spent: number
}

/** A process' local copy of a tenant's buckets. */
interface Account {
  /** In milliseconds of the monotonic clock. */
  at: number
  buckets: Bucket[]
  /** As in the headers. */
  policy: string
  syncing: boolean
}

/** What a request has sent: events, accepted or not, and bytes of its inflated body. */
interface Sent {
  events: number
  bytes: number
}

const OF_EVENTS = ['events', 'bytes'] as const

export interface Quotas {
  /** Throws 429 if the quota of the request's tenant is used up. */
  require(request: FastifyRequest): void
  /** Takes what was sent out of the quota, which may overdraw it. */
  spend(request: FastifyRequest, sent: Sent): void
  /**
   * Takes the events of a batch out of the quota, and reports the rest in the headers of the answer. Throws 429 if
   * concurrent requests have used it up.
   */
  tell(request: FastifyRequest, reply: FastifyReply, events: number): void
  /** Takes a request without events out of the quota. Throws 429 if that is used up. */
  ask(request: FastifyRequest): void
}

export interface QuotasDeps {
  redis: Redis
  /** The prefix of all names in Redis. */
  prefix: string
  log: Logger
}

export function createQuotas({ redis, prefix, log }: QuotasDeps): Quotas {
  // At most one for each tenant with a quota.
  const accounts = new Map<string, Account>()

  function accountFor({ access: { tenantId, quota } }: FastifyRequest): Account | undefined {
    if (!quota || (quota.eventsPerSecond === null && quota.bytesPerSecond === null)) return undefined
    return filled(accountOf(tenantId, quota))
  }

  function requireSome(account: Account | undefined, names: readonly Bucket['name'][]): void {
    const empty = account?.buckets.find(({ name, level }) => level <= 0 && names.includes(name))
    if (empty) throw exceeded(account!, empty)
  }

  function take(tenantId: string, account: Account, sent: Partial<Record<Bucket['name'], number>>): void {
    for (const bucket of account.buckets) {
      const amount = sent[bucket.name] ?? 0
      bucket.level -= amount
      bucket.spent += amount
    }
    if (!account.syncing) void sync(tenantId, account)
  }

  /** A changed quota starts with full buckets. */
  function accountOf(tenantId: string, { eventsPerSecond, bytesPerSecond }: Quota): Account {
    const requests = eventsPerSecond === null ? null : Math.max(LEAST_REQUESTS, eventsPerSecond)
    const rates = { events: eventsPerSecond, bytes: bytesPerSecond, requests }
    const limits = ([...OF_EVENTS, 'requests'] as const).flatMap((name) =>
      rates[name] === null ? [] : [{ name, rate: rates[name] }],
    )
    const known = accounts.get(tenantId)
    if (
      known &&
      limits.length === known.buckets.length &&
      limits.every(({ rate }, i) => rate === known.buckets[i]!.rate)
    ) {
      return known
    }
    const buckets = limits.map(({ name, rate }) => ({ name, rate, level: rate * BURST_S, spent: 0 }))
    const policy = buckets.filter(isOfEvents).map(policyOf).join(', ')
    const account = { at: performance.now(), buckets, policy, syncing: false }
    accounts.set(tenantId, account)
    return account
  }

  async function sync(tenantId: string, account: Account): Promise<void> {
    account.syncing = true
    await new Promise((resolve) => setTimeout(resolve, SYNC_MS).unref())
    const told = account.buckets.map(({ rate, spent }) => ({ rate, spent, burst: rate * BURST_S }))
    for (const bucket of account.buckets) bucket.spent = 0
    try {
      const levels = await spendQuota(redis, prefix, tenantId, told)
      filled(account)
      // The answer does not include what was spent while Redis was asked.
      for (const [i, bucket] of account.buckets.entries()) bucket.level = levels[i]! - bucket.spent
    } catch (err) {
      // It is not reported later: after a long outage that would be a debt of hours.
      log.debug({ err, tenant_id: tenantId }, 'sharing a quota with other processes failed')
    }
    account.syncing = false
    if (account.buckets.some(({ spent }) => spent > 0)) void sync(tenantId, account)
  }

  return {
    require: (request) => requireSome(accountFor(request), OF_EVENTS),
    spend(request, sent) {
      const account = accountFor(request)
      if (account) take(request.access.tenantId, account, { ...sent })
    },
    ask(request) {
      const account = accountFor(request)
      requireSome(account, ['requests'])
      if (account) take(request.access.tenantId, account, { requests: 1 })
    },
    tell(request, reply, events) {
      const account = accountFor(request)
      if (!account) return
      if (events > 0) requireSome(account, ['events'])
      take(request.access.tenantId, account, { events })
      reply.headers(headersOf(account))
    },
  }
}

/** Counts the requests to all routes that have a scope and accept no events. */
export function boundRequests(app: FastifyInstance, quotas: Quotas): void {
  const ask: onRequestHookHandler = (request, _, done) => {
    if (request.access) quotas.ask(request)
    done()
  }
  app.addHook('onRoute', (route) => {
    if (route.config?.scope !== 'ingest') route.onRequest = [ask, ...[route.onRequest ?? []].flat()]
  })
}

function exceeded(account: Account, { name, rate, level }: Bucket): RequestError {
  const wait = Math.max(1, Math.ceil(-level / rate))
  const detail =
    name === 'requests'
      ? `The limit of the tenant is ${rate} requests per second, besides those with events`
      : `The quota of the tenant is ${rate} ${name} per second; nothing was stored`
  return new RequestError('quota-exceeded', detail, undefined, { ...headersOf(account), 'retry-after': `${wait}` })
}

const isOfEvents = ({ name }: Bucket) => name !== 'requests'

const headersOf = ({ policy, buckets }: Account) => ({
  'ratelimit-policy': policy,
  ratelimit: buckets.filter(isOfEvents).map(stateOf).join(', '),
})

/** Returns the account with its buckets refilled up to now. */
function filled(account: Account): Account {
  const now = performance.now()
  for (const bucket of account.buckets) {
    bucket.level = Math.min(bucket.rate * BURST_S, bucket.level + ((now - account.at) / 1_000) * bucket.rate)
  }
  account.at = now
  return account
}

// As in draft-ietf-httpapi-ratelimit-headers: q is the quota for w seconds, r the rest, t the seconds until it is full
// again.
const policyOf = ({ name, rate }: Bucket) => `"${name}";q=${rate * BURST_S};w=${BURST_S}`

function stateOf({ name, rate, level }: Bucket): string {
  return `"${name}";r=${Math.max(0, Math.floor(level))};t=${Math.ceil((rate * BURST_S - level) / rate)}`
}
