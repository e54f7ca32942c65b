/** The keywords of JSON Schema 2020-12, and where subschemas occur. */
import { pointerTo } from './pointer.js'

type Shape = 'schema' | 'list' | 'map'

/** Keywords that hold schemas: one, a list, or one for each name. Before 2019, `$defs` was called `definitions`. */
const HOLDING: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ...named('list', 'allOf', 'anyOf', 'oneOf', 'prefixItems'),
  ...named('map', 'properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'),
  ...named('schema', 'items', 'additionalProperties', 'contains', 'not', 'if', 'then', 'else', 'propertyNames'),
  ...named('schema', 'unevaluatedItems', 'unevaluatedProperties'),
])

function named(shape: Shape, ...keywords: string[]): [string, Shape][] {
  return keywords.map((keyword) => [keyword, shape])
}

/**
 * Keywords that restrict values or describe the schema. `nullable` is from OpenAPI: authors expect it to have a
 * meaning.
 */
const MEANING = new Set([
  ...HOLDING.keys(),
  ...['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...[
    'minLength',
    'maxLength',
    'pattern',
    'format',
    'minItems',
    'maxItems',
    'uniqueItems',
    'minContains',
    'maxContains',
  ],
  ...['minProperties', 'maxProperties', 'required', 'dependentRequired', 'nullable'],
  ...['$ref', '$dynamicRef', '$id', '$anchor', '$dynamicAnchor', '$schema', '$vocabulary'],
])

/** Whether a keyword restricts nothing. To JSON Schema, every unknown keyword is an annotation. */
export function isAnnotation(keyword: string): boolean {
  return !MEANING.has(keyword)
}

/** All keywords with a meaning. */
export const MEANINGFUL_KEYWORDS: readonly string[] = [...MEANING]

export interface Inner {
  keyword: string
  pointer: string
  /** The value in the place of a schema. */
  schema: unknown
}

/** The values of a schema that should be schemas themselves. */
export function innerSchemas(schema: Readonly<Record<string, unknown>>, pointer: string): Inner[] {
  return Object.entries(schema).flatMap(([keyword, value]): Inner[] => {
    const shape = HOLDING.get(keyword)
    const at = pointerTo(pointer, keyword)
    if (shape === 'schema') return [{ keyword, pointer: at, schema: value }]
    if (shape === 'list' ? !Array.isArray(value) : shape === undefined || !isRecord(value)) return []
    return Object.entries(value as object).map(([name, inner]) => ({
      keyword,
      pointer: pointerTo(at, name),
      schema: inner,
    }))
  })
}

/** The schema with `change` applied to each schema in it, the inner ones first. */
export function mapSchema(
  schema: unknown,
  change: (node: Record<string, unknown>) => Record<string, unknown>,
): unknown {
  if (!isRecord(schema)) return schema
  const inner = (value: unknown) => mapSchema(value, change)
  const mapped = Object.entries(schema).map(([keyword, value]) => {
    const shape = HOLDING.get(keyword)
    if (shape !== undefined && Array.isArray(value)) return [keyword, value.map(inner)]
    if (shape === 'schema') return [keyword, inner(value)]
    if (shape === 'map' && isRecord(value)) {
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inner(one)]))]
    }
    return [keyword, value]
  })
  return change(Object.fromEntries(mapped))
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
