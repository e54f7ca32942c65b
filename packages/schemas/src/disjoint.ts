/**
 * Whether no value can fit both of two schemas, in the cases that are easy to see: by type, by value, or by a field
 * that distinguishes them.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Dereference, Node, Schema } from './schema-node.js'

const TYPES = ['null', 'boolean', 'number', 'string', 'array', 'object']

/** Returns the types that a node accepts; all if it does not say. */
export function typesOf({ type }: Node): readonly string[] {
  return type === undefined ? TYPES : Array.isArray(type) ? type : [type]
}

/** Returns all values that may fit a node, if they can be listed. */
export function listedValues(node: Node): unknown[] | undefined {
  if ('const' in node) return [node.const]
  if (node.enum) return node.enum
  const types = typesOf(node)
  if (!types.every((type) => type === 'null' || type === 'boolean')) return undefined
  return types.flatMap((type) => (type === 'null' ? [null] : [true, false]))
}

/** How deep schemas are searched: they may be recursive. */
const MAX_DEPTH = 10

export function disjoint(a: Schema, b: Schema, ofA: Dereference, ofB: Dereference, depth = 0): boolean {
  const [one, other] = [ofA(a), ofB(b)]
  if (one === false || other === false) return true
  if (one === true || other === true || depth > MAX_DEPTH) return false
  const apart = (x: Schema, y: Schema) => disjoint(x, y, ofA, ofB, depth + 1)
  const ways = one.anyOf ?? one.oneOf
  if (ways?.every((way: Schema) => apart(way, other)) || one.allOf?.some((part: Schema) => apart(part, other)))
    return true
  const otherWays = other.anyOf ?? other.oneOf
  if (otherWays?.every((way: Schema) => apart(one, way)) || other.allOf?.some((part: Schema) => apart(one, part))) {
    return true
  }
  const [values, otherValues] = [listedValues(one), listedValues(other)]
  if (values && otherValues) return !values.some((value) => otherValues.some((v) => isDeepStrictEqual(v, value)))
  const [types, otherTypes] = [values?.map(typeOf) ?? typesOf(one), otherValues?.map(typeOf) ?? typesOf(other)]
  const shared = types.filter((type) => otherTypes.some((t) => (isNumeric(t) && isNumeric(type) ? true : t === type)))
  if (shared.length === 0) return true
  if (shared.some((type) => type !== 'object')) return false
  const names = new Set<string>([...(one.required ?? []), ...(other.required ?? [])])
  return [...names].some((name) => {
    const [field, otherField] = [fieldOf(one, name), fieldOf(other, name)]
    // A missing field may be filled in for one of them and not for the other.
    return !hasDefault(field) && !hasDefault(otherField) && apart(field, otherField)
  })
}

const hasDefault = (field: Schema) => typeof field === 'object' && field.default !== undefined

/** Returns the schema of a field of an object, in the cases that are easy to see. */
export function fieldOf(
  { properties = {}, patternProperties, additionalProperties = true }: Node,
  name: string,
): Schema {
  if (Object.hasOwn(properties, name)) return properties[name]
  return patternProperties === undefined ? additionalProperties : true
}

const isNumeric = (type: string) => type === 'number' || type === 'integer'

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
