/** Describes any value in messages to people: values from users' code may throw when they are inspected. */
import { types } from 'node:util'

const MAX_TEXT = 60
const MAX_NAMES = 5

/** Whether a value is an error, of any realm. Never throws. */
export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || quietly(() => value instanceof Error) === true
}

/** A property of any value; `undefined` if it is missing or reading it throws. */
export function propertyOf(value: unknown, name: string): unknown {
  if (value === null || value === undefined) return undefined
  return quietly(() => (value as Record<string, unknown>)[name])
}

/** What a value is, in a few words: `null`, `the number 5`, `a promise`, `an object with a, b`. Never throws. */
export function describeValue(value: unknown): string {
  return quietly(() => describe(value)) ?? 'a value that cannot be looked at'
}

/** The thrown value as an error. */
export function toError(thrown: unknown): Error {
  if (isError(thrown)) return thrown
  return new Error(typeof thrown === 'string' ? thrown : `${describeValue(thrown)} was thrown, which is no error`)
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  switch (typeof value) {
    case 'string':
      return `the text ${JSON.stringify(cut(value))}`
    case 'number':
      return `the number ${value}`
    case 'bigint':
      return `the BigInt ${cut(value.toString())}`
    case 'boolean':
      return String(value)
    case 'symbol':
      return 'a symbol'
    case 'function':
      return 'a function'
  }
  if (types.isProxy(value)) return 'a proxy'
  if (isPromiseLike(value)) return 'a promise'
  if (isError(value)) return `an error: ${cut(String(propertyOf(value, 'message')))}`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`
  return describeObject(value)
}

function describeObject(value: object): string {
  const prototype = Object.getPrototypeOf(value)
  const name: unknown = prototype === null ? undefined : propertyOf(propertyOf(prototype, 'constructor'), 'name')
  if (typeof name === 'string' && name !== '' && name !== 'Object') return `${article(name)} ${cut(name)}`
  const names = Object.keys(value)
  if (names.length === 0) return 'an empty object'
  const more = names.length > MAX_NAMES ? ', …' : ''
  return `an object with ${names.slice(0, MAX_NAMES).map(cut).join(', ')}${more}`
}

/** Whether `await` would wait for the value. Never throws. */
export function isPromiseLike(value: unknown): boolean {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
  return isObject && typeof propertyOf(value, 'then') === 'function'
}

/** Whether an answer is a promise; handles its rejection, which would otherwise reach the process. */
export function ignorePromise(answer: unknown): boolean {
  if (!isPromiseLike(answer)) return false
  new Promise((resolve) => resolve(answer)).catch(() => {})
  return true
}

const article = (name: string) => (/^[AEIOU]/i.test(name) ? 'an' : 'a')

const cut = (text: string) => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text).toWellFormed()

function quietly<Result>(look: () => Result): Result | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
