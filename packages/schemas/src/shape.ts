/** The known fields of an event: missing ones get their defaults, unknown ones are counted. */
import { dereferenceIn, filledFields, isPlain, type Node, type Schema } from './schema-node.js'

type Value = Record<string, unknown>

export interface Shape {
  /** The data with its defaults, as far as `isPlain` goes; the same object if nothing is missing. */
  complete(data: Value): Value
  /** How many fields the schema accepts without naming them. */
  countUnknown(data: Value): number
}

interface Part {
  fields: Map<string, Part | undefined>
  defaults: [name: string, value: unknown][]
  items: Part | undefined
}

/** Reads the shape of a schema, which must compile. */
export function shapeOf(root: Schema): Shape {
  const dereference = dereferenceIn(root)
  const parts = new Map<Schema, Part>()

  /** Undefined if the schema only says what type the value has. */
  function partOf(schema: Schema): Part | undefined {
    const node = dereference(schema)
    if (typeof node !== 'object' || !isPlain(node) || !(node.properties || node.items)) return undefined
    const known = parts.get(node)
    if (known) return known
    const part: Part = { fields: new Map(), defaults: [], items: undefined }
    // Set before its members are visited: the schema may be recursive.
    parts.set(node, part)
    for (const [name, field] of Object.entries<Schema>(node.properties ?? {})) part.fields.set(name, partOf(field))
    part.defaults = filledFields(node).map((name) => [name, (node.properties[name] as Node).default])
    part.items = node.items === undefined ? undefined : partOf(node.items)
    return part
  }

  const whole = partOf(root)
  const hasDefaults = [...parts.values()].some(({ defaults }) => defaults.length > 0)
  return {
    complete: (data) => (whole && hasDefaults ? (complete(data, whole) as Value) : data),
    countUnknown: (data) => (whole ? countUnknown(data, whole) : 0),
  }
}

/** Copies only what changes. */
function complete(value: unknown, part: Part): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    if (!part.items) return value
    const items = value.map((item) => complete(item, part.items!))
    return items.some((item, at) => item !== value[at]) ? items : value
  }
  let result = value as Value
  for (const [name, inner] of part.fields) {
    if (!inner || !Object.hasOwn(value, name)) continue
    const completed = complete((value as Value)[name], inner)
    if (completed !== (value as Value)[name]) result = { ...result, [name]: completed }
  }
  for (const [name, given] of part.defaults) {
    if (!Object.hasOwn(value, name)) result = { ...result, [name]: structuredClone(given) }
  }
  return result
}

function countUnknown(value: unknown, part: Part): number {
  if (typeof value !== 'object' || value === null) return 0
  let unknown = 0
  if (Array.isArray(value)) {
    if (part.items) for (const item of value) unknown += countUnknown(item, part.items)
    return unknown
  }
  if (part.fields.size === 0) return 0
  for (const name in value) {
    const inner = part.fields.get(name)
    if (inner) unknown += countUnknown((value as Value)[name], inner)
    else if (!part.fields.has(name)) unknown++
  }
  return unknown
}
