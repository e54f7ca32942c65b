/**
 * Finds what a JSON value must not contain, because Postgres could not store it or JavaScript has already changed it.
 */
import type { Problem } from './failure.js'
import { pointerTo } from './pointer.js'

/** Maximum nesting of arrays and objects; the event itself is level 1, its data level 2. */
export const MAX_DEPTH = 32

/**
 * The first part of `value` that cannot be stored exactly, or `undefined`. NUL (SQLSTATE 22P05) and lone surrogates
 * (22P02) would fail the INSERT of a whole batch; JSON.parse has already altered integers beyond 2^53 and numbers
 * beyond the range of a double.
 */
export function findUnstorable(value: unknown): Problem | undefined {
  return visit(value, '', 1)
}

function visit(value: unknown, pointer: string, depth: number): Problem | undefined {
  switch (typeof value) {
    case 'string':
      return checkText(value, pointer)
    case 'number':
      if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) return undefined
      return { pointer, message: 'number is outside the range that is kept exactly (±2^53); send it as a string' }
    case 'object': {
      if (value === null) return undefined
      if (depth > MAX_DEPTH) return { pointer, message: `nested deeper than ${MAX_DEPTH} levels` }
      const entries = Array.isArray(value) ? value.entries() : Object.entries(value)
      for (const [name, child] of entries) {
        const childPointer = pointerTo(pointer, name)
        const problem =
          (typeof name === 'string' ? checkText(name, childPointer) : undefined) ??
          visit(child, childPointer, depth + 1)
        if (problem) return problem
      }
    }
  }
  return undefined
}

/** As `findUnstorable`, for one text. */
export function checkText(text: string, pointer: string): Problem | undefined {
  if (text.includes('\0')) return { pointer, message: 'contains the character NUL (\\u0000), which cannot be stored' }
  if (!text.isWellFormed()) return { pointer, message: 'contains half of a surrogate pair, which is no valid Unicode' }
  return undefined
}

/** A text made storable, with at most `max` characters: unstorable characters are replaced, not refused. */
export function storableText(text: string, max: number): string {
  const short = text.length > max ? `${text.slice(0, max - 1)}…` : text
  return short.replaceAll('\0', '\ufffd').toWellFormed()
}
