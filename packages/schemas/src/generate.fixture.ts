/**
 * Generates random schemas, changes of schemas, and values that may fit them. They are small, so that they often
 * overlap.
 */
import { mapSchema } from '@eventflow/core'
import type { Node, Schema } from './schema-node.js'

/** Returns integers from 0 to `below` - 1; the same sequence for the same seed. */
export type Dice = (below: number) => number

export function diceOf(seed: number): Dice {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const NAMES = ['a', 'b', 'c']
const pick = <Item>(dice: Dice, items: readonly Item[]) => items[dice(items.length)]!
const maybe = (dice: Dice, node: Node) => (dice(3) === 0 ? node : {})

function anySchema(dice: Dice, depth = 2): Schema {
  switch (dice(depth > 0 ? 13 : 8)) {
    case 0:
      return dice(4) > 0
    case 1:
      return { type: 'string', ...maybe(dice, { minLength: dice(3) }), ...maybe(dice, { maxLength: 1 + dice(3) }) }
    case 2:
      return {
        type: pick(dice, ['integer', 'number']),
        ...maybe(dice, { minimum: dice(4) - 2 }),
        ...maybe(dice, { multipleOf: 1 + dice(3) }),
      }
    case 3:
      return {
        type: 'number',
        ...maybe(dice, { exclusiveMinimum: dice(4) - 2 }),
        ...maybe(dice, { maximum: dice(4) }),
        ...maybe(dice, { exclusiveMaximum: dice(4) }),
      }
    case 4:
      return { enum: [...new Set([pick(dice, VALUES), pick(dice, VALUES), pick(dice, VALUES)])] }
    case 5:
      return { const: pick(dice, VALUES) }
    case 6:
      return { type: pick(dice, [['string', 'null'], ['integer', 'string'], ['boolean'], ['null', 'number']]) }
    case 7:
      return pick(dice, [{ type: 'boolean' }, {}, { $ref: '#/$defs/shared' }, { minimum: 1, minLength: 1 }])
    case 8:
    case 9:
    case 10:
      return anyObject(dice, depth)
    case 11:
      return {
        type: 'array',
        ...maybe(dice, { items: anySchema(dice, depth - 1) }),
        ...maybe(dice, { prefixItems: [anySchema(dice, depth - 1)] }),
        ...maybe(dice, { maxItems: dice(3) }),
        ...maybe(dice, { minItems: dice(2) }),
        ...maybe(dice, { uniqueItems: true }),
      }
    default:
      return { [pick(dice, ['anyOf', 'oneOf', 'allOf'])]: [anySchema(dice, depth - 1), anySchema(dice, depth - 1)] }
  }
}

function anyObject(dice: Dice, depth: number): Node {
  const properties: Record<string, Schema> = {}
  for (const name of NAMES) if (dice(2) === 0) properties[name] = anyField(dice, depth)
  return {
    type: 'object',
    properties,
    ...maybe(dice, { required: NAMES.filter(() => dice(2) === 0) }),
    ...(dice(2) === 0 ? { additionalProperties: dice(3) > 0 ? false : anySchema(dice, 0) } : {}),
    ...maybe(dice, maybe(dice, { maxProperties: dice(3) })),
    ...maybe(dice, maybe(dice, { minProperties: dice(2) })),
    ...maybe(dice, maybe(dice, { anyOf: [anySchema(dice, 0), { required: [pick(dice, NAMES)] }] })),
    ...maybe(dice, maybe(dice, { patternProperties: { '^[ab]$': anySchema(dice, 0) } })),
    ...maybe(dice, maybe(dice, { dependentRequired: { a: ['b'] } })),
  }
}

const anyField = (dice: Dice, depth: number): Schema =>
  dice(4) === 0 ? { type: 'integer', default: dice(3) } : anySchema(dice, depth - 1)

export function anyRoot(dice: Dice): Node {
  return { ...anyObject(dice, 2), $defs: { shared: { type: pick(dice, ['string', 'integer']) } } }
}

/** Annotations; what looks like a schema in them is not one. */
const NOTES: Node[] = [
  { example: 'x' },
  { 'x-owner': { $id: '#', $ref: '#/$defs/none', type: 'nothing' } },
  { description: 'd', $comment: 'c', deprecated: true },
  { unit: 'g', discriminator: { propertyName: 'a' } },
  { constructor: [{ type: 1 }], examples: [{ type: 'object' }] },
]

/** The schema with annotations at random places, which do not change what fits. */
export function annotated(dice: Dice, schema: Schema): Schema {
  return mapSchema(schema, (node) => (dice(2) === 0 ? { ...node, ...pick(dice, NOTES) } : node)) as Schema
}

/** The schema with a change at a random place. */
export function changed(dice: Dice, schema: Schema): Schema {
  if (typeof schema === 'boolean' || dice(4) === 0) return anySchema(dice, 1)
  const copy: Node = structuredClone(schema)
  const keywords = Object.keys(copy)
  const keyword = keywords.length > 0 ? pick(dice, keywords) : 'type'
  const value = copy[keyword]
  if (keyword === 'properties') {
    const name = pick(dice, NAMES)
    if (!(name in value)) value[name] = anyField(dice, 1)
    else if (dice(3) === 0) delete value[name]
    else value[name] = changed(dice, value[name])
  } else if (keyword === '$defs') value.shared = { type: pick(dice, ['string', 'integer', 'number']) }
  else if (['anyOf', 'oneOf', 'allOf', 'prefixItems'].includes(keyword)) {
    if (dice(3) === 0) value.push(anySchema(dice, 0))
    else value[0] = changed(dice, value[0])
  } else if (keyword === 'items' || keyword === 'additionalProperties') copy[keyword] = changed(dice, value)
  else if (typeof value === 'number') copy[keyword] = Math.max(keyword === 'multipleOf' ? 1 : 0, value + dice(3) - 1)
  else if (keyword === 'required') copy.required = NAMES.filter(() => dice(2) === 0)
  else if (keyword === 'enum') value.push(pick(dice, VALUES))
  else if (keyword !== 'type' || dice(2) === 0) delete copy[keyword]
  if (Array.isArray(copy.enum)) copy.enum = [...new Set(copy.enum)]
  return copy
}

const VALUES = ['', 'x', 'xy', 0, 1, 2, -1, 1.5, true, null]

/** A value related to a schema; it may fit or not. */
export function someValue(dice: Dice, schema: Schema | undefined, root: Node): unknown {
  if (typeof schema !== 'object' || dice(8) === 0) return anyValue(dice, 1)
  if (schema.$ref) return someValue(dice, root.$defs.shared, root)
  const ways: Schema[] | undefined = schema.anyOf ?? schema.oneOf ?? schema.allOf
  if (ways && (schema.type !== 'object' || dice(3) === 0)) return someValue(dice, pick(dice, ways), root)
  if (schema.enum) return pick(dice, schema.enum)
  if ('const' in schema) return schema.const
  if (schema.type === 'object') {
    const names = NAMES.filter((name) => schema.required?.includes(name) || dice(2) === 0)
    return Object.fromEntries(names.map((name) => [name, someValue(dice, schema.properties?.[name], root)]))
  }
  if (schema.type === 'array') {
    return Array.from({ length: dice(3) }, (_, at) => someValue(dice, schema.prefixItems?.[at] ?? schema.items, root))
  }
  return anyValue(dice, 0)
}

function anyValue(dice: Dice, depth: number): unknown {
  const kind = depth > 0 ? dice(12) : 0
  if (kind === 10) return [anyValue(dice, 0)]
  return kind === 11 ? { [pick(dice, NAMES)]: anyValue(dice, 0) } : pick(dice, VALUES)
}
