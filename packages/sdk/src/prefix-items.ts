/** Converts tuples of TypeBox, which writes them as JSON Schema did before 2020-12. */
import { innerSchemas, mapSchema } from '@eventflow/core'

/** The schema with each `Type.Tuple(…)` in the form of 2020-12; unchanged if there is none. */
export function withPrefixItems(schema: unknown): unknown {
  return isJson(schema) && hasTuple(schema)
    ? mapSchema(schema, (node) => (isTuple(node) ? asPrefixItems(node) : node))
    : schema
}

/** A schema that contains itself is not JSON, and would be followed for ever. */
function isJson(schema: unknown): boolean {
  try {
    return JSON.stringify(schema) !== undefined
  } catch {
    return false
  }
}

function hasTuple(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  const node = schema as Record<string, unknown>
  return isTuple(node) || innerSchemas(node, '').some((inner) => hasTuple(inner.schema))
}

const isTuple = (node: Record<string, unknown>) => Array.isArray(node.items) && node.additionalItems === false

function asPrefixItems({ items, additionalItems, ...others }: Record<string, unknown>): Record<string, unknown> {
  return { ...others, prefixItems: items, items: additionalItems }
}
