/**
 * Patterns that cannot keep a processor busy: each character of a text alone determines how the match continues, so
 * backtracking never helps and the time is proportional to the text.
 *
 * Allowed is `^`, then characters and character classes, each perhaps repeated, then `$`. A piece that may be repeated
 * or left out must not begin like the piece after it.
 */

/** Which of the characters 0 to 127 are in a class; element 128: whether any others are. */
type Class = boolean[]

interface Piece {
  class: Class
  /** It may be left out or followed by another one. */
  isOptional: boolean
  isVariable: boolean
}

const OTHERS = 128
const MAX_REPETITIONS = 1_000

/** Returns what is wrong with a pattern; undefined if it is safe. */
export function patternFault(pattern: string): string | undefined {
  if (pattern.length > 200) return 'a pattern may have at most 200 characters'
  if (!pattern.startsWith('^') || !pattern.endsWith('$')) return 'a pattern must begin with ^ and end with $'
  const pieces = piecesOf(pattern.slice(1, -1))
  if (!pieces)
    return 'a pattern may contain characters, classes like [a-z] or \\d, and *, +, ? or {2,5} after them, but no groups and no |'
  for (const [at, { class: own, isVariable }] of pieces.entries()) {
    if (!isVariable) continue
    for (const next of pieces.slice(at + 1)) {
      if (own.some((has, code) => has && next.class[code])) {
        return 'a repeated or optional part of a pattern must not begin like the part after it'
      }
      if (!next.isOptional) break
    }
  }
  return undefined
}

/** A class or a character, and its quantifier. */
const PIECE = /(\[\^?(?:\\[^\n]|[^\]\\[\n])+\]|\\[^\n]|[^\\^$.*+?()[\]{}|\n]|\.)(\*|\+|\?|\{\d{1,4}(?:,\d{0,4})?\})?/uy

function piecesOf(text: string): Piece[] | undefined {
  const pieces: Piece[] = []
  PIECE.lastIndex = 0
  while (PIECE.lastIndex < text.length) {
    const match = PIECE.exec(text)
    const set = match && classOf(match[1]!)
    if (!set) return undefined
    const [least, most] = repetitions(match[2])
    if (least > MAX_REPETITIONS || (most > MAX_REPETITIONS && most !== Infinity)) return undefined
    pieces.push({ class: set, isOptional: least === 0, isVariable: least !== most })
  }
  return pieces
}

function repetitions(quantifier: string | undefined): [number, number] {
  if (quantifier === undefined) return [1, 1]
  if (quantifier === '*') return [0, Infinity]
  if (quantifier === '+') return [1, Infinity]
  if (quantifier === '?') return [0, 1]
  const [, least, comma, most] = /^\{(\d+)(,?)(\d*)\}$/.exec(quantifier)!
  return [Number(least), comma === '' ? Number(least) : most === '' ? Infinity : Number(most)]
}

/** Tested with the characters themselves, so the class means what the regular expression engine says. */
function classOf(source: string): Class | undefined {
  if (/\\[^dDwWsS\x20-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]/.test(source)) return undefined
  try {
    const single = new RegExp(`^${source}$`, 'u')
    const set = Array.from({ length: OTHERS }, (_, code) => single.test(String.fromCharCode(code)))
    const isAscii = /^[\x20-\x7e]+$/.test(source) && !/\[\^|\\[DWSs]|^\.$/.test(source)
    return [...set, !isAscii]
  } catch {
    return undefined
  }
}
