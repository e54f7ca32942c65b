/** Refuses values that JSON.stringify would silently change or drop. */

/** Deeper than a server accepts, and a bound for objects that contain themselves. */
const MAX_DEPTH = 100

/** A fault in a value, and its place as a JSON pointer. */
interface Fault {
  pointer: string
  what: string
}

/**
 * Throws if JSON cannot carry `value` exactly: NaN and infinities, bigints, functions, symbols, `undefined` in arrays,
 * and objects that are neither plain nor have a `toJSON`, such as a Map. Members that are `undefined` are left out, and
 * -0 becomes 0.
 * @throws {TypeError} naming the first of them
 */
export function checkExact(value: object, name: string): void {
  const fault = faultIn(value, 1)
  if (fault) throw new TypeError(`${name} cannot be sent: JSON cannot express ${fault.what}${at(fault.pointer)}`)
}

const at = (pointer: string) => (pointer === '' ? '' : ` at ${pointer}`)

function faultIn(value: unknown, depth: number): Fault | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : here(`the number ${value}`)
    case 'object':
      return value === null ? undefined : faultInObject(value, depth)
    default:
      return here(`a ${typeof value}`)
  }
}

function faultInObject(value: object, depth: number): Fault | undefined {
  if (depth > MAX_DEPTH) return here(`more than ${MAX_DEPTH} levels, or a circular object`)
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') {
    if (value instanceof Date && Number.isNaN(value.getTime())) return here('an invalid Date')
    return faultIn(toJSON.call(value), depth + 1)
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = value[i] === undefined ? here('undefined in an array') : faultIn(value[i], depth + 1)
      if (fault) return inside(i, fault)
    }
    return undefined
  }
  const prototype = Object.getPrototypeOf(value)
  // Accepts plain objects of other realms too: only Object.prototype, of any realm, has no prototype itself.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return here(`a ${prototype.constructor?.name}`)
  for (const name of Object.keys(value)) {
    const fault = faultIn((value as Record<string, unknown>)[name], depth + 1)
    if (fault) return inside(name, fault)
  }
  return undefined
}

const here = (what: string): Fault => ({ pointer: '', what })

/** RFC 6901: `~` and `/` in a name are escaped. */
const inside = (name: string | number, { pointer, what }: Fault): Fault => ({
  pointer: `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}${pointer}`,
  what,
})
