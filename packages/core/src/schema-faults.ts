/**
 * Checks a JSON Schema before it is stored: reports what is wrong or has no effect, where, and what to write instead.
 */
import type { Problem } from './failure.js'
import { pointerTo } from './pointer.js'
import { innerSchemas, isAnnotation, isRecord, MEANINGFUL_KEYWORDS } from './schema-keywords.js'
import { CHECKED_FORMATS, compileSchema, SchemaError } from './schemas.js'
import { checkText } from './storable.js'

const TYPES = ['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']
const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/**
 * Keywords without meaning in 2020-12 that have one in older drafts or elsewhere: the author expects an effect that
 * they would not have.
 */
const ELSEWHERE = new Map([
  ['nullable', 'is OpenAPI\'s; write type: ["string", "null"], or anyOf with { type: "null" }'],
  [
    'additionalItems',
    'is of an older JSON Schema; 2020-12 has prefixItems for the first items and items for the others',
  ],
  ['dependencies', 'is of an older JSON Schema; 2020-12 has dependentRequired and dependentSchemas'],
  ['$recursiveRef', 'is of an older JSON Schema; 2020-12 has $ref and $dynamicRef'],
  ['$recursiveAnchor', 'is of an older JSON Schema; 2020-12 has $dynamicAnchor'],
  ['divisibleBy', 'is of an older JSON Schema; 2020-12 has multipleOf'],
  ['disallow', 'is of an older JSON Schema; 2020-12 has not'],
  ['$async', 'is no JSON Schema: a check answers at once'],
])

/** Annotations that only look like misspelt keywords. */
const ANNOTATIONS = new Set([
  ...[
    'example',
    'examples',
    'title',
    'description',
    'default',
    '$comment',
    'comment',
    'deprecated',
    'readOnly',
    'writeOnly',
  ],
  ...['contentEncoding', 'contentMediaType', 'contentSchema', 'discriminator', 'externalDocs', 'xml', 'enumNames'],
])

/** TypeBox types for values that JSON cannot hold. */
const NOT_JSON = new Map([
  ['Date', "Type.String({ format: 'date-time' })"],
  ['bigint', "Type.Integer() up to 2^53, or Type.String({ pattern: '^-?[0-9]+$' })"],
  ['undefined', 'Type.Optional(…) around a field that may be missing, or Type.Null()'],
  ['void', 'Type.Optional(…) around a field that may be missing, or Type.Null()'],
  ['Uint8Array', "Type.String({ contentEncoding: 'base64' })"],
  ['RegExp', 'Type.String({ pattern: … })'],
  ...['symbol', 'Function', 'Constructor', 'Promise', 'Iterator', 'AsyncIterator', 'Generator', 'AsyncGenerator'].map(
    (type): [string, string] => [type, 'a type of JSON'],
  ),
])

const MAX_DEPTH = 100
/** Ten faults are enough to report at once. */
const MAX_FAULTS = 10

/** The faults of a schema, with JSON pointers into it; empty if it is sound. Never throws. */
export function schemaFaults(schema: unknown): Problem[] {
  const json = asJson(schema)
  if ('fault' in json) return [json.fault]
  const faults = faultsBelow(json.value, '', 0).slice(0, MAX_FAULTS)
  if (faults.length > 0) return faults
  try {
    compileSchema(json.value as object)
  } catch (error) {
    return error instanceof SchemaError ? error.problems : [{ pointer: '', message: (error as Error).message }]
  }
  return acceptsObjects(json.value, json.value) ? [] : [noObjects(json.value)]
}

/** The schema as it will be stored. A schema that contains itself or values that are not JSON cannot be stored. */
function asJson(schema: unknown): { value: unknown } | { fault: Problem } {
  if (!isRecord(schema))
    return { fault: { pointer: '', message: 'must be an object with the keywords of JSON Schema' } }
  try {
    return { value: JSON.parse(JSON.stringify(schema)) }
  } catch (error) {
    const why = String((error as Error).message).split('\n')[0]
    return { fault: { pointer: '', message: `cannot be written as JSON: ${why}` } }
  }
}

function faultsBelow(schema: unknown, pointer: string, depth: number): Problem[] {
  if (typeof schema === 'boolean') return []
  if (Array.isArray(schema) && pointer.endsWith('/items')) return [{ pointer, message: TUPLE }]
  if (!isRecord(schema)) return [{ pointer, message: 'must be a schema: an object, true or false' }]
  if (depth > MAX_DEPTH) return [{ pointer, message: `is nested deeper than ${MAX_DEPTH} schemas` }]
  const own = Object.entries(schema).flatMap(([keyword, value]) => {
    const at = pointerTo(pointer, keyword)
    const message = keywordFault(keyword, value)
    return message === undefined ? [] : [{ pointer: at, message }]
  })
  return [
    ...own,
    ...innerSchemas(schema, pointer).flatMap((inner) => faultsBelow(inner.schema, inner.pointer, depth + 1)),
  ]
}

const TUPLE =
  'is a list, which is of an older JSON Schema; 2020-12 has prefixItems for the first items and items for the others'

function keywordFault(keyword: string, value: unknown): string | undefined {
  const unstorable = checkText(keyword, '')
  if (unstorable) return unstorable.message
  const elsewhere = ELSEWHERE.get(keyword)
  if (elsewhere) return elsewhere
  if (keyword === 'type') return typeFault(value)
  if (keyword === 'format') return formatFault(value)
  if (keyword === 'pattern') return patternFault(value)
  if (keyword === '$schema' && value !== DIALECT && value !== `${DIALECT}#`) return `must be ${DIALECT}, or be left out`
  if (!isAnnotation(keyword) || ANNOTATIONS.has(keyword) || /^x-/i.test(keyword)) return undefined
  const meant = MEANINGFUL_KEYWORDS.find((known) => isMisspelt(keyword, known))
  return (
    meant && `is no keyword of JSON Schema; is ${meant} meant? A note of your own may have any name that begins with x-`
  )
}

function typeFault(value: unknown): string | undefined {
  const types = Array.isArray(value) ? value : [value]
  for (const type of types) {
    if (TYPES.includes(type)) continue
    const instead = typeof type === 'string' ? NOT_JSON.get(type) : undefined
    const shown = JSON.stringify(type)
    if (instead) return `${shown} is no type of JSON, which is what an event is sent as; use ${instead}`
    const meant = typeof type === 'string' ? TYPES.find((known) => isMisspelt(type, known)) : undefined
    return `${shown} is no type of JSON Schema; ${meant ? `is "${meant}" meant?` : `there are ${TYPES.join(', ')}`}`
  }
  return undefined
}

/**
 * An unknown format is an annotation, as in 2020-12; but one that nearly matches a known format is taken for a
 * misspelling.
 */
function formatFault(value: unknown): string | undefined {
  if (typeof value !== 'string' || CHECKED_FORMATS.has(value) || UNCHECKED_FORMATS.has(value)) return undefined
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const meant = [...CHECKED_FORMATS].find(
    (known) => plain(known) === plain(value) || (value.length > 4 && distance(value, known) === 1),
  )
  return meant && `"${value}" is not known, and would not be checked; is "${meant}" meant?`
}

/** Formats of 2020-12 that EventFlow does not check. */
const UNCHECKED_FORMATS = new Set(['idn-email', 'idn-hostname', 'iri', 'iri-reference'])

function patternFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'must be a text'
  try {
    new RegExp(value, 'u')
    return undefined
  } catch (error) {
    return `${(error as Error).message}; a pattern is a regular expression with the flag u`
  }
}

/**
 * Whether a word is a misspelling of another: in other case, or with one or two letters added, missing, wrong or
 * swapped.
 */
function isMisspelt(word: string, known: string): boolean {
  if (known.length < 4 || word.length < 3) return false
  return word.toLowerCase() === known.toLowerCase() || distance(word, known) <= (word.length > 5 ? 2 : 1)
}

/** The edit distance of two words, a swap counting as one edit; exact up to 2. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/**
 * Whether any object can match, as far as types, enums and combinations show. `known` holds the results so far: a
 * schema that refers to itself is assumed to accept objects.
 */
function acceptsObjects(schema: unknown, root: unknown, known = new Map<unknown, boolean>()): boolean {
  if (!isRecord(schema)) return schema !== false
  if (known.has(schema)) return known.get(schema)!
  known.set(schema, true)
  const accepts = (inner: unknown) => acceptsObjects(inner, root, known)
  const found = ownTypeAcceptsObjects(schema) && combinationsAccept(schema, root, accepts)
  known.set(schema, found)
  return found
}

function ownTypeAcceptsObjects(schema: Record<string, unknown>): boolean {
  if (schema.type !== undefined && ![schema.type].flat().includes('object')) return false
  if ('const' in schema && !isRecord(schema.const)) return false
  if (Array.isArray(schema.enum) && !schema.enum.some(isRecord)) return false
  return !(schema.not === true || (isRecord(schema.not) && Object.keys(schema.not).every(isAnnotation)))
}

function combinationsAccept(
  schema: Record<string, unknown>,
  root: unknown,
  accepts: (inner: unknown) => boolean,
): boolean {
  const { anyOf, oneOf, allOf, $ref } = schema
  for (const ways of [anyOf, oneOf]) if (Array.isArray(ways) && !ways.some(accepts)) return false
  if (Array.isArray(allOf) && !allOf.every(accepts)) return false
  const target = typeof $ref === 'string' ? localTarget($ref, root) : undefined
  return target === undefined || accepts(target)
}

/** The target of a reference within the schema, if it is easy to resolve. */
function localTarget(reference: string, root: unknown): unknown {
  if (!/^#(\/[^%]*)?$/.test(reference)) return undefined
  const names = reference
    .slice(2)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (reference === '#' || reference === '#/') return undefined
  return names.reduce<unknown>((at, name) => (isRecord(at) ? at[name] : undefined), root)
}

function noObjects(schema: unknown): Problem {
  const { type } = schema as { type?: unknown }
  const only =
    type === undefined || [type].flat().includes('object') ? 'nothing of the kind' : `only ${[type].flat().join(', ')}`
  return { pointer: '', message: `lets no event through: data is always an object, and this schema accepts ${only}` }
}
