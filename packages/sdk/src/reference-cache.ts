/** The in-process cache of reference data: bounded in entries, bytes and time. */
import { findUnstorable, freezeParsed, parseKeepingDigits, shareParsed } from '@eventflow/core'
import { LRUCache } from 'lru-cache'

/** Maximum characters of JSON cached for one look-up: 10,000 large answers must not fill the memory. */
const MAX_CHARACTERS = 32 * 1024 * 1024

/** The default TTL of an answer, in milliseconds: five minutes. */
export const DEFAULT_TTL_MS = 300_000

/** The default limit of entries. */
export const DEFAULT_CACHE_SIZE = 10_000

/**
 * The answers cached in a process, with LRU eviction. Pass the length of the answer's JSON to `set` as `size`. Holds
 * only answers: a missing key is never cached, because it may exist the next moment. The clock is passed explicitly,
 * because lru-cache would otherwise keep the one it was loaded with, which tests could not move.
 */
export function createReferenceCache<Value extends NonNullable<unknown>>(
  entries: number,
  ttlMs: number,
): LRUCache<string, Value> {
  return new LRUCache({ max: entries, ttl: ttlMs, maxSize: MAX_CHARACTERS, perf: performance })
}

/**
 * Parses JSON and freezes all of it: many events share one answer, and none may change it for the others. Numbers that
 * JavaScript would round arrive as their text. Values that cannot be stored are detected later, when they are added to
 * an event.
 */
export function parseFrozen(json: string): unknown {
  const value = parseKeepingDigits(json)
  return json.includes('\\u') && findUnstorable(value) ? freezeParsed(value) : shareParsed(value)
}
