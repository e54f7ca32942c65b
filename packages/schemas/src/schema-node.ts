/** Reading JSON Schemas: nodes, local references, and where defaults are filled in. */
import { isAnnotation } from '@eventflow/core'

// biome-ignore lint/suspicious/noExplicitAny: a keyword may hold anything.
export type Node = Record<string, any>
export type Schema = boolean | Node

const NAMES_ONLY = new Set(['$schema', '$id', '$defs', 'definitions'])

/** Whether a keyword is an annotation, which does not change what fits. */
export function saysNothing(keyword: string): boolean {
  return isAnnotation(keyword) || NAMES_ONLY.has(keyword)
}

/**
 * Keywords beside which a missing field may get its default without violating them. Below a node with others, such as
 * `anyOf` or `maxProperties`, no defaults are filled in.
 */
const PLAIN = new Set(['type', 'properties', 'required', 'additionalProperties', 'items', 'minItems', 'maxItems'])

export function isPlain(node: Node): boolean {
  return Object.keys(node).every((keyword) => PLAIN.has(keyword) || saysNothing(keyword))
}

/** Returns the names of a plain node's fields that are filled in if missing. */
export function filledFields(node: Node): string[] {
  return Object.entries<Schema>(node.properties ?? {})
    .filter(([, field]) => typeof field === 'object' && field.default !== undefined)
    .map(([name]) => name)
}

const LOCAL = /^#\/\$defs\/([^/%~]+)$/

/** Returns the target of a `$ref` to `#/$defs/…`; undefined for another reference or if there is no such definition. */
export function lookUpReference(reference: string, root: Schema): Schema | undefined {
  const name = LOCAL.exec(reference)?.[1]
  if (name === undefined || typeof root !== 'object') return undefined
  return Object.hasOwn(root.$defs ?? {}, name) ? root.$defs[name] : undefined
}

/** Resolves a node's reference: returns the target if the node has nothing else, otherwise both combined. */
export type Dereference = (schema: Schema) => Schema

/** Returns a function that gives the same object each time, so that recursion can be detected. */
export function dereferenceIn(root: Schema): Dereference {
  const resolved = new Map<Schema, Schema>()
  const resolve = (node: Schema, hops: number): Schema => {
    if (typeof node !== 'object' || typeof node.$ref !== 'string' || hops > MAX_HOPS) return node
    const target = lookUpReference(node.$ref, root)
    if (target === undefined) return node
    const { $ref: _, ...beside } = node
    if (Object.keys(beside).every((keyword) => saysNothing(keyword))) return resolve(target, hops + 1)
    return { ...beside, allOf: [...(beside.allOf ?? []), target] }
  }
  return (schema) => {
    if (!resolved.has(schema)) resolved.set(schema, resolve(schema, 0))
    return resolved.get(schema)!
  }
}

/** The longest chain of references; a longer one is a cycle. */
const MAX_HOPS = 50
