/**
 * Turns users' data into plain values that JSON holds exactly: copied once and frozen, so that later steps cannot be
 * affected by changes.
 */
import { describeValue, propertyOf } from './describe-value.js'
import type { Payload } from './event.js'
import { pointerTo } from './pointer.js'
import { checkText, MAX_DEPTH } from './storable.js'

/** Maximum values in one piece of data: more are a mistake, such as two objects that contain each other. */
const MAX_VALUES = 100_000

/** A value that JSON cannot hold. */
export class NotPlainError extends Error {
  override name = 'NotPlainError'

  /** `what` describes the value; `pointer` gives its place. */
  constructor(
    readonly pointer: string,
    readonly what: string,
  ) {
    super(pointer === '' ? what : `${what} at ${pointer}`)
  }
}

/** Values known to be plain and frozen: rows shared by many events are not copied for each. */
const known = new WeakSet<object>()

/** Whether a value is a plain object, of any realm. May throw, as a proxy can. */
function isPlainObject(value: unknown): value is Payload {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * A copy of an object for the caller, with frozen members. The copy itself stays unfrozen: freezing it would take
 * longer than the rest, and usually it is only read. A value with `toJSON` is replaced by its result, such as a Date by
 * its text, and `undefined` members are left out, except in the object itself. Throws NotPlainError for any value that
 * JSON would silently change or drop, and for values that cannot be stored; errors of getters pass through.
 */
export function plainData(value: unknown): Payload {
  if (!isPlainObject(value)) throw new NotPlainError('', describeValue(value))
  if (known.has(value)) return value
  const copy = { ...value }
  return isFlat(copy) ? copy : new Copying().members(copy, 1, true)
}

/** Whether no member needs a closer look. This holds for most objects, and takes a third of the time of a full copy. */
function isFlat(object: Payload): boolean {
  for (const name in object) {
    const value = object[name]
    if (name === '__proto__' || !isText(name)) return false
    if (typeof value === 'string' ? !isText(value) : !isKept(value)) return false
  }
  return true
}

const isText = (text: string) => text.isWellFormed() && !text.includes('\0')

const isKept = (value: unknown) =>
  typeof value === 'number'
    ? Number.isFinite(value)
    : typeof value === 'boolean' || value === null || value === undefined || known.has(value as object)

/** Freezes a value from JSON.parse, in place. */
export function freezeParsed<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) freezeAll(value as Payload | unknown[])
  return value
}

/**
 * A copy of an event for one run of a user's function. Its data, whose members are already frozen, is frozen only now:
 * most events are not passed to any function after the last enricher, and freezing takes about a microsecond.
 */
export function copyForRun<Event extends { data: Payload }>(event: Event): Event {
  Object.freeze(event.data)
  return { ...event }
}

/** Written out for speed: it runs for every event. */
function freezeAll(value: Payload | unknown[]): void {
  Object.freeze(value)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) freezeParsed(value[i])
  } else {
    for (const name in value) {
      const member = value[name]
      if (typeof member === 'object' && member !== null) freezeAll(member as Payload | unknown[])
    }
  }
}

/** Freezes a value from JSON.parse that many events will share. */
export function shareParsed<Value>(value: Value): Value {
  freezeParsed(value)
  if (typeof value === 'object' && value !== null) known.add(value)
  return value
}

/** The state of one copy. */
class Copying {
  #values = 0
  /** The names that lead to the value being copied. */
  readonly #path: (string | number)[] = []

  members(value: object, depth: number, keepsUndefined = false): Payload {
    const copy: Payload = {}
    for (const name of Object.keys(value)) {
      this.#path.push(name)
      if (name === '__proto__') this.#refuse('a member of this name, which is not allowed,')
      this.#checkText(name, 'a name')
      const member = this.#value((value as Payload)[name], depth + 1)
      if (member !== undefined || keepsUndefined) copy[name] = member
      this.#path.pop()
    }
    return copy
  }

  #value(value: unknown, depth: number): unknown {
    if (++this.#values > MAX_VALUES) this.#refuse(`more than ${MAX_VALUES} values`)
    if (value === null) return null
    switch (typeof value) {
      case 'string':
        this.#checkText(value, 'a text')
        return value
      case 'number':
        return Number.isFinite(value) ? value : this.#refuse(`the number ${value}`)
      case 'boolean':
      case 'undefined':
        return value
      case 'object':
        return known.has(value) ? value : this.#nested(value, depth)
    }
    return this.#refuse(describeValue(value))
  }

  #nested(value: object, depth: number): unknown {
    if (depth > MAX_DEPTH) this.#refuse(`more than ${MAX_DEPTH} levels, or itself inside itself,`)
    if (typeof propertyOf(value, 'toJSON') === 'function') {
      return this.#value((value as { toJSON(): unknown }).toJSON(), depth + 1)
    }
    if (isPlainObject(value)) return Object.freeze(this.members(value, depth))
    return Array.isArray(value) ? this.#array(value, depth) : this.#refuse(describeValue(value))
  }

  #array(value: readonly unknown[], depth: number): readonly unknown[] {
    const copy: unknown[] = []
    for (let i = 0; i < value.length; i++) {
      this.#path.push(i)
      const item = this.#value(value[i], depth + 1)
      copy.push(item === undefined ? this.#refuse('undefined in an array') : item)
      this.#path.pop()
    }
    return Object.freeze(copy)
  }

  #checkText(text: string, what: string): void {
    const problem = checkText(text, '')
    if (problem) this.#refuse(`${what} that ${problem.message}`)
  }

  #refuse(what: string): never {
    throw new NotPlainError(this.#path.reduce<string>(pointerTo, ''), what)
  }
}
