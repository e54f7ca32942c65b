/** JSON Schemas as they are looked into: their nodes, local references, and where defaults are filled in. */
import { isAnnotation } from '@eventflow/core'

// biome-ignore lint/suspicious/noExplicitAny: a keyword may hold anything.
export type Node = Record<string, any>
export type Schema = boolean | Node

const NAMES_ONLY = new Set(['$schema', '$id', '$defs', 'definitions'])

/** Whether a keyword says nothing about what fits. */
export function saysNothing(keyword: string): boolean {
  return isAnnotation(keyword) || NAMES_ONLY.has(keyword)
}

/**
 * Keywords beside which a missing field may be given its default without any of them being broken by it. Below a node with
 * others, such as `anyOf` or `maxProperties`, nothing is filled in.
 */
const PLAIN = new Set(['type', 'properties', 'required', 'additionalProperties', 'items', 'minItems', 'maxItems'])

export function isPlain(node: Node): boolean {
  return Object.keys(node).every((keyword) => PLAIN.has(keyword) || saysNothing(keyword))
}

/** The names of a plain node's fields that are filled in where they are missing. */
export function filledFields(node: Node): string[] {
  return Object.entries<Schema>(node.properties ?? {})
    .filter(([, field]) => typeof field === 'object' && field.default !== undefined)
    .map(([name]) => name)
}

const LOCAL = /^#\/\$defs\/([^/%~]+)$/

/** What a `$ref` to `#/$defs/…` points to; nothing where it is another reference, or there is no such definition. */
export function lookUpReference(reference: string, root: Schema): Schema | undefined {
  const name = LOCAL.exec(reference)?.[1]
  if (name === undefined || typeof root !== 'object') return undefined
  return Object.hasOwn(root.$defs ?? {}, name) ? root.$defs[name] : undefined
}

/** Gives a node without its reference: the target where it is nothing but a reference, both together otherwise. */
export type Dereference = (schema: Schema) => Schema

/** Gives the same object each time, so that a schema that contains itself can be seen to. */
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

/** References to references; more than that is a circle. */
const MAX_HOPS = 50
