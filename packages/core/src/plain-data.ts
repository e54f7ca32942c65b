/** Data of users' code as plain values that JSON holds exactly: copied once, frozen for good, so that later steps are safe from it. */
import { describeValue, propertyOf } from './describe-value.js'
import type { Payload } from './event.js'
import { pointerTo } from './pointer.js'
import { checkText, MAX_DEPTH } from './storable.js'

/** Values in one piece of data: with more it is a mistake, such as two objects that hold each other over and over. */
const MAX_VALUES = 100_000

/** A value is nothing that JSON holds. */
export class NotPlainError extends Error {
  override name = 'NotPlainError'

  /** `what` it is, in words; `pointer` says where. */
  constructor(
    readonly pointer: string,
    readonly what: string,
  ) {
    super(pointer === '' ? what : `${what} at ${pointer}`)
  }
}

/** What is known to be plain and frozen: rows that many events share are not copied for each. */
const known = new WeakSet<object>()

/** Whether a value is an object as JSON has them, of whichever realm. May throw, as a proxy can. */
function isPlainObject(value: unknown): value is Payload {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * A copy of an object, the caller's own, with all that is in it frozen: to freeze the copy itself would take longer than the rest, and
 * most often it is only read. What has a `toJSON` is taken as that says, such as a Date as its text, and members
 * that are `undefined` are left out, except in the object itself. Throws NotPlainError for all that JSON would change or drop
 * without a word, and for what cannot be stored; and what a getter throws.
 */
export function plainData(value: unknown): Payload {
  if (!isPlainObject(value)) throw new NotPlainError('', describeValue(value))
  if (known.has(value)) return value
  const copy = { ...value }
  return isFlat(copy) ? copy : new Copying().members(copy, 1, true)
}

/** Whether nothing in an object needs to be looked into: so are most, and this takes a third of the time. */
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

/** Freezes what JSON.parse gave, in place. */
export function freezeParsed<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) freezeAll(value as Payload | unknown[])
  return value
}

/**
 * A copy of an event for one run of a function of users. Its data, with frozen members only, is frozen now: most events are never
 * given to anyone after the last enricher, and this takes about a microsecond.
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

/** Freezes what JSON.parse gave and many events will share. */
export function shareParsed<Value>(value: Value): Value {
  freezeParsed(value)
  if (typeof value === 'object' && value !== null) known.add(value)
  return value
}

/** One copy under way. */
class Copying {
  #values = 0
  /** The names on the way to the value that is being copied. */
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
