/** Reads JSON without silently changing any value. Costs about half as much as JSON.parse in addition to it. */
import { checkText, isExactNumber, MAX_DEPTH, type Problem, pointerTo } from '@eventflow/core'

/** Stands for a value that cannot be kept unchanged. */
export class Flawed {
  readonly problems: readonly Problem[]
  readonly tooLarge?: true

  constructor(problems: readonly Problem[], { tooLarge }: { tooLarge?: true } = {}) {
    this.problems = problems
    if (tooLarge) this.tooLarge = tooLarge
  }
}

/** The message for such a number. */
export const ROUNDED = 'is a number that would lose precision; send it as a string'

/** JSON.parse takes seconds for megabytes of brackets, so a text nested this deep is not parsed. */
const BOTTOM = 2 * MAX_DEPTH

/** More items than any batch may have. */
const MAX_ITEMS = 10_000

/** The most names in all objects of a value. Several times as many would block other requests for too long. */
const MAX_MEMBERS = 20_000
const CROWDED = `has more than ${MAX_MEMBERS} names in its objects`

/**
 * Parses a JSON text that arrived as UTF-8. JSON.parse would keep the last of several members with the same name and
 * round numbers. Postgres accepts no NUL, no half of a surrogate pair and no unlimited nesting. `__proto__` and
 * `constructor.prototype` could change what objects inherit. A value with any of these becomes a Flawed; in a list,
 * only the affected item. A value with more than MAX_MEMBERS names, or nested deeper than BOTTOM (a list as a whole),
 * also becomes a Flawed, without being parsed. Throws SyntaxError if the text is not JSON.
 */
export function parseExactly(sent: string): unknown {
  const text = sent.startsWith(BYTE_ORDER_MARK) ? sent.slice(1) : sent
  const look = glance(text)
  if (look === 'crowded') return new Flawed([{ pointer: '', message: CROWDED }])
  if (look === 'bottomless') return (isList(text) ? undefined : findFlaws(text).get(0)) ?? DEEP
  const value: unknown = JSON.parse(text)
  if (look === 'exact') return value
  const flaws = findFlaws(text)
  if (!Array.isArray(value)) return flaws.get(0) ?? value
  for (const [index, flawed] of flaws) value[index] = flawed
  return value
}

/** RFC 8259, 8.1: a parser may ignore it. */
const BYTE_ORDER_MARK = '\ufeff'

const INHERITS = 'is a forbidden name: it could change what objects inherit'
const TOO_DEEP = `nested deeper than ${MAX_DEPTH} levels`
const DEEP = new Flawed([{ pointer: '', message: TOO_DEEP }])

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const LETTER_E = 0x65
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d

const isList = (text: string) => /^\s*\[/.test(text)

/** Characters that `itemsOf` reads between two pauses. */
const STEP = 65_536

/**
 * Splits a list into the texts of its items, to be parsed separately: the list is valid JSON if all of them are.
 * Returns undefined if the text is not a list or continues after it. Stops if there are more than `limit` items. Yields
 * regularly, because a text of megabytes takes long.
 */
export function* itemsOf(text: string, limit: number): Generator<void, string[] | undefined> {
  const items: string[] = []
  const opening = /^\s*\[/.exec(text)?.[0].length
  if (opening === undefined) return undefined
  let start = opening
  let depth = 1
  let pauseAt = STEP
  for (let at = start; at < text.length; at++) {
    if (at >= pauseAt) {
      yield
      pauseAt = at + STEP
    }
    const char = text.charCodeAt(at)
    if (char === QUOTE) at = closingQuote(text, at + 1)
    else if (char === OPEN_OBJECT || char === OPEN_LIST) depth++
    else if ((char === CLOSE_OBJECT || char === CLOSE_LIST) && --depth === 0) {
      if (char !== CLOSE_LIST || text.slice(at + 1).trim() !== '') return undefined
      const last = text.slice(start, at)
      return items.length > 0 || last.trim() !== '' ? [...items, last] : items
    } else if (char === COMMA && depth === 1) {
      items.push(text.slice(start, at))
      start = at + 1
      if (items.length > limit) return items
    }
  }
  return undefined
}

/** An escape for NUL or for half of a surrogate pair, in a text where every `\u` is an escape. */
const NO_CHARACTER = /\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]/i

/** A number of up to this many digits and dot is exact, as every number of 15 digits is. */
const SHORT_NUMBER = 15

/** The most names of an open object whose hashes are kept. */
const MAX_NAMES = 64
const names = Array.from({ length: BOTTOM + 1 }, () => new Int32Array(MAX_NAMES))
const nameCounts = new Int32Array(BOTTOM + 1)

/**
 * Scans a text once, quickly; it may be invalid JSON. `exact` is certain. `doubtful` needs a closer check: repeated or
 * inherited names, escapes that may not be characters, numbers that may be rounded, too many levels or names. `crowded`
 * (never for a list) has too many names to be read.
 */
function glance(text: string): 'exact' | 'doubtful' | 'crowded' | 'bottomless' {
  let doubtful =
    text.includes('__proto__') ||
    text.includes('"prototype"') ||
    (text.includes('\\u') && (text.includes('\\\\') || NO_CHARACTER.test(text)))
  let depth = 0
  let members = 0
  let start = 0
  let end = 0
  let at = 0
  while (at < text.length) {
    const char = text.charCodeAt(at++)
    if (char === QUOTE) {
      start = at
      end = closingQuote(text, at)
      at = end + 1
    } else if (char === COLON) {
      members++
      doubtful ||= mayBeKnown(text, start, end, depth)
      // In invalid JSON, many of these may follow a name: each is read once.
      start = end
    } else if (char === OPEN_OBJECT || char === OPEN_LIST) {
      if (++depth > BOTTOM) return 'bottomless'
      if (depth > MAX_DEPTH) doubtful = true
      nameCounts[depth] = 0
    } else if (char === CLOSE_OBJECT || char === CLOSE_LIST) {
      if (depth > 0) depth--
    } else if (char >= ZERO && char <= NINE) {
      const first = at - 1
      let next = text.charCodeAt(at)
      while ((next >= ZERO && next <= NINE) || next === DOT) next = text.charCodeAt(++at)
      if (at - first <= SHORT_NUMBER && (next | 0x20) !== LETTER_E) continue
      at = endOfNumber(text, at)
      doubtful ||= !isExactNumber(text.slice(first, at))
    }
  }
  if (members > MAX_MEMBERS) return isList(text) ? 'doubtful' : 'crowded'
  return doubtful ? 'doubtful' : 'exact'
}

/** Returns where the string ends that begins before `from`; the end of the text if it does not end. */
function closingQuote(text: string, from: number): number {
  let end = text.indexOf('"', from)
  while (end !== -1 && text.charCodeAt(end - 1) === BACKSLASH) {
    let backslashes = 1
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) break
    end = text.indexOf('"', end + 1)
  }
  return end === -1 ? text.length : end
}

/** Whether the innermost object may have had this name before. Records the name. */
function mayBeKnown(text: string, start: number, end: number, depth: number): boolean {
  let hash = 0
  for (let at = start; at < end; at++) {
    const char = text.charCodeAt(at)
    if (char === BACKSLASH) return true
    hash = (Math.imul(hash, 31) + char) | 0
  }
  const known = names[depth]!
  const count = nameCounts[depth]!
  for (let n = 0; n < count; n++) if (known[n] === hash) return true
  if (count === MAX_NAMES) return true
  known[count] = hash
  nameCounts[depth] = count + 1
  return false
}

function endOfNumber(text: string, from: number): number {
  let at = from
  while (at < text.length && '0123456789.eE+-'.includes(text[at]!)) at++
  return at
}

/** An open object or list: the current place in it and, for an object, its names so far. */
interface Container {
  place: string | number
  names: Set<string> | undefined
}

/**
 * Returns the first flaw of each item of a list, or at 0 the first flaw of any other value. The text must be valid
 * JSON.
 */
function findFlaws(text: string): Map<number, Flawed> {
  const flaws = new Map<number, Flawed>()
  const open: Container[] = []
  const inList = isList(text)
  let members = 0
  const found = (message: string, where = open) => {
    const item = inList ? (open[0]!.place as number) : 0
    if (flaws.has(item) || item >= MAX_ITEMS) return
    const pointer = where.slice(inList ? 1 : 0).reduce((path, { place }) => pointerTo(path, place), '')
    flaws.set(item, new Flawed([{ pointer, message }]))
  }

  for (let at = 0; at < text.length && (inList || flaws.size === 0); at++) {
    const char = text[at]!
    const inside = open.at(-1)
    if (char === '{' || char === '[') {
      if (open.length === MAX_DEPTH + (inList ? 1 : 0)) found(TOO_DEEP)
      open.push(char === '{' ? { place: '', names: new Set() } : { place: 0, names: undefined })
    } else if (char === '}' || char === ']') {
      open.pop()
    } else if (char === ',' && typeof inside?.place === 'number') {
      inside.place++
      if (open.length === 1) members = 0
    } else if (char === '"') {
      const end = closingQuote(text, at + 1)
      const isEscaped = text.slice(at, end).includes('\\')
      const string: string = isEscaped ? JSON.parse(text.slice(at, end + 1)) : text.slice(at + 1, end)
      at = end
      if (inside?.names && isFollowedByColon(text, end + 1)) {
        inside.place = string
        if (inside.names.has(string)) found('occurs more than once in its object')
        if (string === '__proto__' || (string === 'prototype' && open.at(-2)?.place === 'constructor')) found(INHERITS)
        inside.names.add(string)
        if (++members > MAX_MEMBERS) found(CROWDED, open.slice(0, 1))
      }
      const problem = isEscaped ? checkText(string, '') : undefined
      if (problem) found(problem.message)
    } else if (char === '-' || (char >= '0' && char <= '9')) {
      const end = endOfNumber(text, at)
      if (!isExactNumber(text.slice(at, end))) found(ROUNDED)
      at = end - 1
    }
  }
  return flaws
}

function isFollowedByColon(text: string, from: number): boolean {
  let at = from
  while (text.charCodeAt(at) <= 0x20) at++
  return text.charCodeAt(at) === COLON
}
