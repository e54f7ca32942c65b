/** What a process remembers of reference data: bounded in entries, bytes and time. */
import { findUnstorable, freezeParsed, parseKeepingDigits, shareParsed } from '@eventflow/core'
import { LRUCache } from 'lru-cache'

/** Characters of JSON that one look-up remembers at most: 10,000 large answers must not fill the memory. */
const MAX_CHARACTERS = 32 * 1024 * 1024

/** Milliseconds that an answer is kept unless told otherwise: five minutes. */
export const DEFAULT_TTL_MS = 300_000

/** Entries that are kept unless told otherwise. */
export const DEFAULT_CACHE_SIZE = 10_000

/**
 * The answers a process remembers, the least recently used forgotten first. Give `set` the length of the answer's JSON
 * as `size`. Only answers: that something was not found is never remembered, because it may be there the next moment.
 * The clock is named, as lru-cache would otherwise keep the one it was loaded with, and tests could not move it.
 */
export function createReferenceCache<Value extends NonNullable<unknown>>(
  entries: number,
  ttlMs: number,
): LRUCache<string, Value> {
  return new LRUCache({ max: entries, ttl: ttlMs, maxSize: MAX_CHARACTERS, perf: performance })
}

/**
 * Parses JSON and freezes all of it: one answer is shared by many events, and none may change it for the others. Numbers that JavaScript
 * would round arrive as their text. What could not be stored is left to be found where it is added to an event.
 */
export function parseFrozen(json: string): unknown {
  const value = parseKeepingDigits(json)
  return json.includes('\\u') && findUnstorable(value) ? freezeParsed(value) : shareParsed(value)
}
