/** The enricher that requests data from an HTTP service, one request for each key. */
import {
  type AcceptedEvent,
  describeValue,
  ignorePromise,
  type Payload,
  PermanentError,
  toError,
  UnavailableError,
} from '@eventflow/core'
import pRetry from 'p-retry'
import { type CircuitOptions, withCircuit } from './circuits.js'
import type { Enricher } from './enricher.js'
import { type Answers, type Fields, type Found, fillFields, type Missing } from './fields.js'
import { getJson, UnexpectedAnswer } from './get-json.js'
import { requireWholeNumbers } from './option-numbers.js'
import { createReferenceCache, DEFAULT_CACHE_SIZE, DEFAULT_TTL_MS } from './reference-cache.js'

export interface HttpLookupOptions<
  Data,
  Field extends string,
  Value extends NonNullable<unknown>,
  Absent extends Missing,
> {
  /** The name of the dependency: in dead letters, metrics and the circuit. Unique in the process. */
  name: string
  /** The address to GET for a key. Encode the key, `encodeURIComponent(key)`: it comes from an event. */
  url: (key: string) => string
  /**
   * The only origins that are ever requested: `https://prices.example.com`. With a path that ends in `/`, only
   * addresses below that path: `https://prices.example.com/v1/skus/`. Plain http must be written explicitly.
   */
  allowOrigins: readonly string[]
  /** Sent with each request, for credentials. */
  headers?: Readonly<Record<string, string>>
  /** The fields to add and the key for each. */
  fields: Fields<Data, Field>
  /** The part of the answer to keep; `undefined` if the answer says that there is nothing. Default: all of it. */
  pick?: (answer: unknown) => Value | undefined
  /** Timeout of one request, from the connection to the last byte, in milliseconds. Default: 2 s. */
  timeoutMs?: number
  /** Retries after a failed request, the first after about 100 ms, then doubling. Default: 2. */
  retries?: number
  /** Concurrent requests for a batch. Default: 10. */
  concurrency?: number
  /** How long the process caches an answer, in milliseconds. Default: five minutes. */
  ttlMs?: number
  /** Maximum answers cached in the process, at most 32 MiB of them. Default: 10,000. */
  cacheSize?: number
  /**
   * When there is nothing (404, 410, `null`), or no key or an empty one: `fail` the event permanently (the default) or
   * `skip` the field.
   */
  missing?: Absent
  circuit?: CircuitOptions
}

/** Milliseconds before the first retry; p-retry doubles it and adds up to the same amount at random. */
const RETRY_DELAY_MS = 100

/**
 * Adds the JSON answer of an HTTP service:
 *
 * ```ts
 * httpLookup({
 *   name: 'prices',
 *   url: (sku) => `https://prices.example.com/v1/skus/${encodeURIComponent(sku)}`,
 *   allowOrigins: ['https://prices.example.com'],
 *   fields: { price: (event: SaleEvent) => event.data.sku },
 *   pick: (answer) => (answer as { amount: number }).amount,
 * })
 * ```
 *
 * What the answers mean for an event:
 * - 2xx with JSON in UTF-8: the field; numbers that JavaScript would round arrive as their text. Cached for `ttlMs`; an
 *   empty result is never cached.
 * - 404, 410, `null`: see `missing`. An empty key is never requested: its address would be that of another resource.
 * - 408, 425, 429, 5xx, no answer in time, no connection: retried `retries` times, then the event is retried.
 * - 401, 403, a redirect, no JSON, no UTF-8, more than 1 MiB: the event is retried, because the configuration is
 *   probably wrong.
 * - any other 4xx: a `PermanentError`, because the service rejects this key.
 *
 * Everything except 2xx and the 4xx about the key counts against the circuit (see `circuits`). While it is open nothing
 * is sent, and the events wait without losing an attempt (`UnavailableError`).
 *
 * Requests leave only for `allowOrigins`; redirects are not followed. An address with `..` in its path, in any
 * encoding, is refused, and so is one that a key has truncated with a `#`. The address that a name resolves to is not
 * checked: allow only names whose DNS you trust.
 */
export function httpLookup<
  Field extends string,
  Data = Payload,
  Value extends NonNullable<unknown> = NonNullable<unknown>,
  Absent extends Missing = 'fail',
>(options: HttpLookupOptions<Data, Field, Value, Absent>): Enricher<Data, Found<Field, Value, Absent>> {
  const { name, url, headers = {}, fields, timeoutMs = 2_000, retries = 2, concurrency = 10 } = options
  const { ttlMs = DEFAULT_TTL_MS, cacheSize = DEFAULT_CACHE_SIZE, circuit = {} } = options
  const pick = options.pick ?? ((answer: unknown) => answer as Value)
  const missing = options.missing ?? ('fail' as Absent)
  requireWholeNumbers(name, { timeoutMs, concurrency, ttlMs, cacheSize }, 1)
  requireWholeNumbers(name, { retries }, 0)
  const allowed = checkedOrigins(name, options.allowOrigins)
  const remembered = createReferenceCache<Value>(cacheSize, ttlMs)
  const get = withCircuit(name, (address: URL) => getJson(address, name, headers, timeoutMs), circuit)

  return {
    name,
    enrich: (events: readonly AcceptedEvent<Data>[]) =>
      fillFields(events, fields, missing, answersTo, (key) => `'${key}' at ${name}`),
  }

  async function answersTo(keys: string[]): Promise<Answers<Value>> {
    const answers = new Map<string, Value | Error>()
    const asked = keys.filter((key) => key !== '')
    await forEachAtMost(concurrency, asked, async (key) => {
      try {
        const answer = remembered.get(key) ?? (await ask(key))
        if (answer !== undefined) answers.set(key, answer)
      } catch (error) {
        answers.set(key, toError(error))
      }
    })
    return answers
  }

  async function ask(key: string): Promise<Value | undefined> {
    const address = allowedAddress(addressIn(url(key), name), allowed, name)
    const answer = await pRetry(() => get(address), {
      retries,
      minTimeout: RETRY_DELAY_MS,
      randomize: true,
      shouldRetry: ({ error }) =>
        !(error instanceof PermanentError || error instanceof UnavailableError || error instanceof UnexpectedAnswer),
    })
    const value = (answer && pickedFrom(pick(answer.json), name)) ?? undefined
    if (answer && value !== undefined) remembered.set(key, value, { size: answer.length })
    return value
  }
}

/** The allowed origins, each with an optional path that addresses must be below. */
function checkedOrigins(name: string, allowed: readonly string[]): readonly URL[] {
  if (allowed.length === 0) throw new TypeError(`${name}: allowOrigins is empty`)
  return allowed.map((text) => {
    const url = URL.canParse(text) && /^https?:/.test(text) ? new URL(text) : undefined
    if (url && (text === url.origin || (text === url.origin + url.pathname && text.endsWith('/')))) return url
    throw new TypeError(
      `${name}: '${text}' is not an origin such as https://example.com:8443, with or without a path that ends in /`,
    )
  })
}

/**
 * Throws if the function `url` did not return a string. A `URL` is refused because it has already resolved every `..`,
 * which makes the path check impossible.
 */
function addressIn(answer: unknown, name: string): string {
  if (typeof answer === 'string') return answer
  ignorePromise(answer)
  throw new PermanentError(`url of '${name}' answered ${describeValue(answer)}; expected an address as a string`)
}

/** Throws if the function `pick` returned a promise. */
function pickedFrom<Value>(answer: Value, name: string): Value {
  if (!ignorePromise(answer)) return answer
  throw new PermanentError(`pick of '${name}' answered a promise; it must return a value synchronously`)
}

/** Throws if the address is not allowed, or not the intended one: a key from an event may have changed it. */
function allowedAddress(text: string, allowed: readonly URL[], name: string): URL {
  const address = URL.canParse(text) ? new URL(text) : undefined
  const isBelow = ({ origin, pathname }: URL) =>
    address?.origin === origin &&
    (pathname === '/' || (address.pathname.startsWith(pathname) && address.pathname !== pathname))
  if (!address || !allowed.some(isBelow) || address.username || address.password) {
    throw new PermanentError(`${name} may not request ${address?.origin ?? 'an invalid address'}: see allowOrigins`)
  }
  if (leavesItsPath(text)) {
    throw new PermanentError(
      `${name} may not request an address with . or .. in its path, \\, # or a control character: encode the key`,
    )
  }
  return address
}

/**
 * Whether the URL parser (WHATWG URL, 4.4) or a server behind it would take another path than the written one: dot
 * segments, also percent-encoded or with a parameter, `\\` for `/`, and tabs and line breaks, which are dropped. Text
 * after `#` is not sent.
 */
function leavesItsPath(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for.
  if (/[\u0000-\u001f\\#]/.test(text)) return true
  const [path = ''] = text.split('?', 1)
  const decoded = path
    .replaceAll(/%2e/gi, '.')
    .replaceAll(/%(2f|5c)/gi, '/')
    .replaceAll(/%3b/gi, ';')
  return /\/\.\.?(\/|;|$)/.test(decoded)
}

/** Runs `act` for each item, at most `limit` at the same time. */
async function forEachAtMost<Item>(limit: number, items: readonly Item[], act: (item: Item) => Promise<void>) {
  const queue = items.values()
  const lanes = Array.from({ length: Math.min(limit, items.length) }, async () => {
    for (const item of queue) await act(item)
  })
  await Promise.all(lanes)
}
