/** The enricher that asks an HTTP service, one request a key. */
import {
  type AcceptedEvent,
  describeValue,
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
import { ignorePromise } from './user-code.js'

export interface HttpLookupOptions<
  Data,
  Field extends string,
  Value extends NonNullable<unknown>,
  Absent extends Missing,
> {
  /** Names the dependency: in dead letters, metrics and the circuit. Unique in the process. */
  name: string
  /** The address to GET for a key, as text. Encode the key, `encodeURIComponent(key)`: it comes from an event. */
  url: (key: string) => string
  /**
   * The only origins that are ever asked: `https://prices.example.com`. One that goes on with a path that ends in `/`
   * allows only what is below that: `https://prices.example.com/v1/skus/`. Plain http only where written here as such.
   */
  allowOrigins: readonly string[]
  /** Sent with each request, for credentials. */
  headers?: Readonly<Record<string, string>>
  /** The fields to add and the key for each. */
  fields: Fields<Data, Field>
  /** What to keep of the answer; `undefined` when it says that there is nothing. Default: all of it. */
  pick?: (answer: unknown) => Value | undefined
  /** For one request, from the connection to the last byte, in milliseconds. Default: 2 s. */
  timeoutMs?: number
  /** Further requests after a failed one, the first after about 100 ms, then doubling. Default: 2. */
  retries?: number
  /** Requests under way at the same time for a batch. Default: 10. */
  concurrency?: number
  /** How long the process remembers an answer, in milliseconds. Default: five minutes. */
  ttlMs?: number
  /** Answers that the process remembers, at most 32 MiB of them. Default: 10,000. */
  cacheSize?: number
  /**
   * When there is nothing (404, 410, `null`), or no key or an empty one: `fail` the event for good (the default) or
   * `skip` the field.
   */
  missing?: Absent
  circuit?: CircuitOptions
}

/** Milliseconds before the first further request; p-retry doubles it and adds up to as much again at random. */
const RETRY_DELAY_MS = 100

/**
 * Adds what an HTTP service answers in JSON:
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
 * - 2xx with JSON in UTF-8: the field; numbers that JavaScript would round arrive as their text. Remembered for `ttlMs`; that
 *   there is nothing is never remembered.
 * - 404, 410, `null`: see `missing`. An empty key is never asked: its address is that of something else.
 * - 408, 425, 429, 5xx, no answer in time, no connection: asked again `retries` times, then the event is retried.
 * - 401, 403, a redirect, no JSON, no UTF-8, more than 1 MiB: the event is retried, since more likely the configuration is wrong.
 * - any other 4xx: a `PermanentError`, as the service finds fault with this key.
 *
 * Everything but 2xx and 4xx about the key counts against the circuit (see `circuits`). While it is open nothing is
 * sent, and the events wait without losing an attempt (`UnavailableError`).
 *
 * Requests leave only for `allowOrigins`; redirects are not followed. An address with `..` in its path, in any
 * disguise, is refused, and so is one that a key has cut off with a `#`. Not checked is which address a name of the
 * list resolves to: allow only names whose DNS you trust.
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

/** Origins, each perhaps with the path that everything must be below. */
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

/** Throws when the function `url` did not give a text. In a `URL` all `..` are resolved: nothing could be said of it any more. */
function addressIn(answer: unknown, name: string): string {
  if (typeof answer === 'string') return answer
  ignorePromise(answer)
  throw new PermanentError(`url of '${name}' answered ${describeValue(answer)}; expected an address as a string`)
}

/** Throws when the function `pick` did not answer at once. */
function pickedFrom<Value>(answer: Value, name: string): Value {
  if (!ignorePromise(answer)) return answer
  throw new PermanentError(`pick of '${name}' answered a promise; it must return a value synchronously`)
}

/** Throws when the address is not one that may be asked, or not the one that was meant: a key from an event may have made it. */
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
 * Whether the URL parser (WHATWG URL, 4.4) or a server behind it would take another path than the one that is written:
 * dot segments, also percent-encoded or with a parameter, `\\` for `/`, and tabs and line breaks, which are dropped.
 * What follows `#` is not sent.
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

/** Runs `act` for each item, `limit` at the same time. */
async function forEachAtMost<Item>(limit: number, items: readonly Item[], act: (item: Item) => Promise<void>) {
  const queue = items.values()
  const lanes = Array.from({ length: Math.min(limit, items.length) }, async () => {
    for (const item of queue) await act(item)
  })
  await Promise.all(lanes)
}
