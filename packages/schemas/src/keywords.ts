/** Compares two nodes keyword by keyword, except for the keywords that combine schemas. */
import type { Comparison, Difference, Filled } from './comparison.js'
import { typesOf } from './disjoint.js'
import { compareItems, compareProperties } from './members.js'
import { type Node, saysNothing } from './schema-node.js'

/**
 * Limits: the keyword, the type it applies to, and whether it is a minimum (the reader's must not be higher) or a
 * maximum (the reader's must not be lower).
 */
const BOUNDS: [keyword: string, type: string, isMinimum: boolean][] = [
  ['minLength', 'string', true],
  ['maxLength', 'string', false],
  ['minItems', 'array', true],
  ['maxItems', 'array', false],
  ['minProperties', 'object', true],
  ['maxProperties', 'object', false],
]

/** The keywords that are compared here or in `members.ts`. All other keywords are only checked for equality. */
const COMPARED = new Set([
  ...['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties', 'uniqueItems'],
  ...['properties', 'required', 'additionalProperties', 'items', 'prefixItems'],
])

/** Keywords whose meaning depends on others beside them, so nodes with them are compared as a whole. */
const ENTANGLED = ['if', 'then', 'else', 'contains', 'minContains', 'maxContains', 'not', '$ref', '$dynamicRef']
const LEFT_OVER = ['unevaluatedProperties', 'unevaluatedItems', 'dependentSchemas', '$anchor', '$dynamicAnchor']

/**
 * Returns the constraints of the reader's node that the writer's does not imply. Neither has `allOf`, `anyOf` or
 * `oneOf`.
 */
export function compareKeywords(
  writer: Node,
  reader: Node,
  path: string,
  filled: Filled,
  { compare, same }: Comparison,
): Difference[] {
  const entangled = [...ENTANGLED, ...LEFT_OVER].filter((keyword) => keyword in reader)
  if (entangled.length > 0) return entangled.map((keyword) => changed(keyword, path))
  const types = typesOf(writer)
  if (!types.every((type) => lets(type, typesOf(reader)))) {
    const overlap =
      types.some((type) => lets(type, typesOf(reader))) || typesOf(reader).some((type) => lets(type, types))
    return [{ path, rule: overlap ? 'TYPE_NARROWED' : 'TYPE_CHANGED' }]
  }
  const found: Difference[] = []
  if (reader.enum || 'const' in reader) found.push({ path, rule: 'ENUM_ARRAY_NARROWED' })
  if (types.some((type) => type === 'number' || type === 'integer')) found.push(...compareNumbers(writer, reader, path))
  for (const [keyword, type, isMinimum] of BOUNDS) {
    if (types.includes(type)) found.push(...compareBound(keyword, isMinimum, writer, reader, path))
  }
  const mayRepeat = reader.uniqueItems === true && writer.uniqueItems !== true && !(writer.maxItems <= 1)
  if (types.includes('array') && mayRepeat) found.push({ path: `${path}/uniqueItems`, rule: 'UNIQUE_ITEMS_ADDED' })
  if (types.includes('array')) found.push(...compareItems(writer, reader, path, filled, compare))
  if (types.includes('object')) found.push(...compareProperties(writer, reader, path, filled, compare))
  for (const keyword of Object.keys(reader)) {
    if (COMPARED.has(keyword) || saysNothing(keyword)) continue
    if (!same(reader[keyword], writer[keyword])) found.push(changed(keyword, path))
  }
  return found
}

const lets = (type: string, types: readonly string[]) =>
  types.includes(type) || (type === 'integer' && types.includes('number'))

const named = (keyword: string) => keyword.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()

const changed = (keyword: string, path: string) => ({ path: `${path}/${keyword}`, rule: `${named(keyword)}_CHANGED` })

function compareBound(keyword: string, isMinimum: boolean, writer: Node, reader: Node, path: string): Difference[] {
  const bound = reader[keyword] ?? (isMinimum ? 0 : Infinity)
  const given = writer[keyword] ?? (isMinimum ? 0 : Infinity)
  if (isMinimum ? given >= bound : given <= bound) return []
  const how = keyword in writer ? (isMinimum ? 'INCREASED' : 'DECREASED') : 'ADDED'
  return [{ path: `${path}/${keyword}`, rule: `${named(keyword)}_${how}` }]
}

function compareNumbers(writer: Node, reader: Node, path: string): Difference[] {
  const found: Difference[] = []
  for (const [keyword, exclusive, sign] of [
    ['minimum', 'exclusiveMinimum', 1],
    ['maximum', 'exclusiveMaximum', -1],
  ] as const) {
    for (const bound of [keyword, exclusive]) {
      if (!(bound in reader)) continue
      const limit = sign * reader[bound]
      const within = bound === keyword ? sign * writer[keyword] >= limit : sign * writer[keyword] > limit
      if (within || sign * writer[exclusive] >= limit) continue
      const how = keyword in writer || exclusive in writer ? (sign > 0 ? 'INCREASED' : 'DECREASED') : 'ADDED'
      found.push({ path: `${path}/${bound}`, rule: `${named(bound)}_${how}` })
    }
  }
  const { multipleOf } = reader
  const isWhole = typesOf(writer).every((type) => type !== 'number') && Number.isInteger(1 / multipleOf)
  // Remainders of fractions are not exact.
  const isMultiple = Number.isInteger(multipleOf) && writer.multipleOf % multipleOf === 0
  if (multipleOf !== undefined && writer.multipleOf !== multipleOf && !isMultiple && !isWhole) {
    found.push({ path: `${path}/multipleOf`, rule: `MULTIPLE_OF_${'multipleOf' in writer ? 'CHANGED' : 'ADDED'}` })
  }
  return found
}
