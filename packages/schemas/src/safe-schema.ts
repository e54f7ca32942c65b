/**
 * The rules for schemas that came over HTTP, so that neither compiling one nor checking an event against it keeps a
 * process busy: known keywords, a bounded size, no recursion, few alternatives, patterns that take a time proportional
 * to the text.
 */
import { CHECKED_FORMATS, isAnnotation, type Problem, pointerTo } from '@eventflow/core'
import { patternFault } from './safe-pattern.js'
import { lookUpReference, type Schema } from './schema-node.js'

const MAX_SCHEMA_BYTES = 65_536

/** The most schemas within a schema; each reference counts as its target. */
const MAX_NODES = 200
/** The most schemas that apply to every item of a list or to every field that is not named. */
const MAX_REPEATED = 100
/** The most schemas of which any may apply to the same value; fewer if each is tried for every item of a list. */
const MAX_ALTERNATIVES = 50
const MAX_REPEATED_ALTERNATIVES = 10
const MAX_DEPTH = 20
const MAX_VALUES = 100
/** Items are compared pairwise. */
const MAX_UNIQUE = 100

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'
/** The checked formats whose check is quick with any text. Formats that are not checked are annotations. */
const FORMATS = ['date-time', 'date', 'time', 'uuid', 'ipv4']

const VALUES = new Set([
  ...['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['minLength', 'maxLength', 'pattern', 'format', 'minItems', 'maxItems', 'uniqueItems'],
  ...['minProperties', 'maxProperties', 'required', '$ref', '$schema'],
])
const NOT_FROM_OUTSIDE = 'is a keyword that only definitions may use, because validating it can be slow'

const MAPS = new Set(['properties', '$defs'])
const LISTS = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const SINGLE = new Set(['items', 'additionalProperties'])

interface Place {
  depth: number
  /** This schema applies to each of many values. */
  repeated: boolean
  /** The references that led here. */
  within: readonly string[]
}

/**
 * Returns why a schema that came over HTTP is rejected, with JSON pointers into it; empty if it is accepted. The
 * compiler checks its form.
 */
export function faultsIn(root: unknown): Problem[] {
  if (typeof root !== 'object' || root === null || Array.isArray(root))
    return [{ pointer: '', message: 'is not an object' }]
  const bytes = Buffer.byteLength(JSON.stringify(root))
  if (bytes > MAX_SCHEMA_BYTES) return [{ pointer: '', message: `is larger than ${MAX_SCHEMA_BYTES} bytes` }]
  const faults: Problem[] = []
  let nodes = 0
  let repeatedNodes = 0
  let alternatives = 0
  let repeatedAlternatives = 0

  const visit = (schema: unknown, pointer: string, place: Place): void => {
    const { depth, repeated, within } = place
    if (typeof schema === 'boolean' || faults.length > 0) return
    const fault = (at: string, message: string) => faults.push({ pointer: at, message })
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
      fault(pointer, 'is not a schema')
      return
    }
    nodes++
    if (repeated) repeatedNodes++
    if (repeatedNodes > MAX_REPEATED) fault(pointer, `exceeds the limit of ${MAX_REPEATED} schemas for repeated values`)
    if (nodes > MAX_NODES) fault(pointer, `exceeds the limit of ${MAX_NODES} schemas, counting each reference`)
    if (depth > MAX_DEPTH) fault(pointer, `is nested deeper than ${MAX_DEPTH} schemas`)
    const below = { ...place, depth: depth + 1 }
    for (const [keyword, value] of Object.entries(schema)) {
      const at = pointerTo(pointer, keyword)
      if (LISTS.has(keyword) && Array.isArray(value)) {
        if (keyword !== 'prefixItems') alternatives += value.length
        if (keyword !== 'prefixItems' && repeated) repeatedAlternatives += value.length
        if (repeatedAlternatives > MAX_REPEATED_ALTERNATIVES) {
          fault(at, `has more than ${MAX_REPEATED_ALTERNATIVES} alternatives for repeated values`)
        }
        if (alternatives > MAX_ALTERNATIVES)
          fault(at, `exceeds the limit of ${MAX_ALTERNATIVES} alternatives in the schema`)
        for (const [n, inner] of value.entries()) visit(inner, pointerTo(at, n), below)
      } else if (MAPS.has(keyword) && typeof value === 'object' && value !== null) {
        for (const [name, inner] of Object.entries(value)) visit(inner, pointerTo(at, name), below)
      } else if (SINGLE.has(keyword)) {
        visit(value, at, { ...below, repeated: true })
      } else if (VALUES.has(keyword)) {
        const wrong = valueFault(keyword, value, schema)
        if (wrong) fault(at, wrong)
      } else if (!isAnnotation(keyword)) {
        fault(at, NOT_FROM_OUTSIDE)
      }
    }
    const reference = (schema as { $ref?: unknown }).$ref
    if (typeof reference !== 'string') return
    const at = pointerTo(pointer, '$ref')
    const target = lookUpReference(reference, root as Schema)
    if (target === undefined) fault(at, 'must refer to one of the $defs of this schema')
    else if (within.includes(reference)) fault(at, 'refers to itself')
    else visit(target, at, { ...below, within: [...within, reference] })
  }

  visit(root, '', { depth: 1, repeated: false, within: [] })
  return faults
}

function formatFault(format: unknown): string | undefined {
  if (FORMATS.includes(format as string) || !CHECKED_FORMATS.has(format as string)) return undefined
  return `must be one of ${FORMATS.join(', ')}; validating other formats can be slow`
}

/** What is wrong with a keyword's value apart from its type, which the compiler checks. */
function valueFault(keyword: string, value: unknown, schema: object): string | undefined {
  if (keyword === 'pattern') return typeof value === 'string' ? patternFault(value) : 'is not a string'
  if (keyword === 'format') return formatFault(value)
  if (keyword === '$schema') return value === DIALECT ? undefined : `must be ${DIALECT}`
  const tooMany = Array.isArray(value) && value.length > MAX_VALUES
  if ((keyword === 'enum' || keyword === 'required') && tooMany) return `has more than ${MAX_VALUES} values`
  if (keyword === 'enum' && Array.isArray(value) && value.some((one) => typeof one === 'object' && one !== null)) {
    return 'may contain only strings, numbers, booleans and null'
  }
  const { maxItems } = schema as { maxItems?: unknown }
  if (keyword === 'uniqueItems' && value === true && !(typeof maxItems === 'number' && maxItems <= MAX_UNIQUE)) {
    return `needs a maxItems of at most ${MAX_UNIQUE}`
  }
  return undefined
}
