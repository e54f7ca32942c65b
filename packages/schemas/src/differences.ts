/**
 * Whether all data that fits the writer's schema fits the reader's. If that cannot be shown, it is a difference: too
 * strict in rare cases, never too lax. Rules have the names of Confluent's registry, if it has them.
 */
import { isDeepStrictEqual } from 'node:util'
import { compileSchema, isAnnotation, mapSchema } from '@eventflow/core'
import type { Compare, Difference, Filled } from './comparison.js'
import { disjoint, listedValues } from './disjoint.js'
import { compareKeywords } from './keywords.js'
import { dereferenceIn, isPlain, type Node, type Schema } from './schema-node.js'

/** The schema `true` as a node. */
const ANYTHING: Node = {}

/** Returns all reasons why data for the writer's schema may not fit the reader's; empty if all data fits. */
export function differencesBetween(writerSchema: Schema, readerSchema: Schema): Difference[] {
  const [writerRoot, readerRoot] = [withoutNotes(writerSchema), withoutNotes(readerSchema)]
  const definitionsOf = (root: Schema) => (typeof root === 'object' ? root.$defs : undefined)
  const sameDefinitions = isDeepStrictEqual(definitionsOf(writerRoot), definitionsOf(readerRoot))
  const underWay = new Set<string>()
  const identify = numbering()
  const [ofWriter, ofReader] = [dereferenceIn(writerRoot), dereferenceIn(readerRoot)]

  const same = (a: unknown, b: unknown) =>
    isDeepStrictEqual(a, b) && (sameDefinitions || !JSON.stringify(a).includes('"$ref"'))

  const compare: Compare = (writer, reader, path, filled) => {
    if (same(writer, reader)) return []
    const [from, to] = [ofWriter(writer), ofReader(reader)]
    if (to === true || from === false) return []
    if (to === false) return [{ path, rule: 'NOTHING_FITS' }]
    const written = from === true ? ANYTHING : from
    // Schemas may be recursive: a pair that is already being compared is decided there.
    const pair = `${identify(written)} ${identify(to)} ${filled.writer} ${filled.reader}`
    if (underWay.has(pair)) return []
    underWay.add(pair)
    const still = { writer: filled.writer && isPlain(written), reader: filled.reader && isPlain(to) }
    const found = conjuncts(to).flatMap((part) => notImplied(written, part, path, still))
    underWay.delete(pair)
    return found
  }

  /** The differences of a part of the reader's schema that no part of the writer's implies. */
  function notImplied(written: Node, part: Node, path: string, filled: Filled): Difference[] {
    if (part.allOf) return compare(written, part.allOf[0], path, filled)
    const parts = conjuncts(written)
    if (parts.some((one) => same(one, part))) return []
    const values = parts.map(listedValues).find((listed) => listed !== undefined)
    if (values) {
      const refused = values.filter((value) => !accepts(part, value))
      if (refused.length === 0) return []
      if (part.enum || 'const' in part) return [{ path, rule: 'ENUM_ARRAY_NARROWED' }]
      return [{ path, rule: refused.length === values.length ? 'TYPE_CHANGED' : 'TYPE_NARROWED' }]
    }
    const isUnion = part.anyOf !== undefined || part.oneOf !== undefined
    if (isUnion && fitsOneWay(written, part, filled)) return []
    const tries = parts.map((one) => {
      const ways = alternatives(one) ?? (isUnion ? byType(one) : undefined)
      if (ways) return ways.flatMap((way) => compare(way, part, path, filled))
      return isUnion
        ? [{ path, rule: 'COMBINED_TYPE_CHANGED' }]
        : compareKeywords(one, part, path, filled, { compare, same })
    })
    return tries.find((found) => found.length === 0) ?? tries[0]!
  }

  /** With `oneOf` exactly one schema may fit, so the others must be shown not to. */
  function fitsOneWay(written: Node, { anyOf, oneOf }: Node, filled: Filled): boolean {
    const ways: Schema[] = anyOf ?? oneOf
    const excludes = (other: Schema) => disjoint(written, other, ofWriter, ofReader)
    return ways.some(
      (way, at) =>
        compare(written, way, '', filled).length === 0 &&
        (anyOf || ways.every((other, index) => index === at || excludes(other))),
    )
  }

  function accepts(part: Node, value: unknown): boolean {
    try {
      const $defs = definitionsOf(readerRoot)
      return compileSchema($defs ? { ...part, $defs } : part)(value).length === 0
    } catch {
      return false
    }
  }

  return compare(writerRoot, readerRoot, '', { writer: true, reader: true })
}

/**
 * Keywords that are compared as a whole must not differ by annotations. A default is kept, because it says what is
 * filled in.
 */
function withoutNotes(root: Schema): Schema {
  const says = ([keyword]: [string, unknown]) => keyword === 'default' || !isAnnotation(keyword)
  return mapSchema(root, (node) => Object.fromEntries(Object.entries(node).filter(says))) as Schema
}

/**
 * Splits a node into schemas that must all fit. Each is an `allOf` with one schema, a union, or a node with other
 * keywords.
 */
function conjuncts({ allOf, anyOf, oneOf, ...base }: Node): Node[] {
  const combined: Node[] = (allOf ?? []).map((schema: Schema) => ({ allOf: [schema] }))
  if (anyOf) combined.push({ anyOf })
  if (oneOf) combined.push({ oneOf })
  return combined.length === 0 || Object.keys(base).length > 0 ? [base, ...combined] : combined
}

/** If the part is a union, one of these must fit; an `allOf` with one schema is a union of one. */
const alternatives = ({ allOf, anyOf, oneOf }: Node): Schema[] | undefined => allOf ?? anyOf ?? oneOf

const byType = (part: Node): Schema[] | undefined =>
  Array.isArray(part.type) && part.type.length > 1 ? part.type.map((type) => ({ ...part, type })) : undefined

function numbering() {
  const numbers = new Map<object, number>()
  return (node: object) => {
    if (!numbers.has(node)) numbers.set(node, numbers.size)
    return numbers.get(node)
  }
}
