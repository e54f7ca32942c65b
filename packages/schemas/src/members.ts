/** Compares the items of lists and the fields of objects. */
import { isDeepStrictEqual } from 'node:util'
import { pointerTo } from '@eventflow/core'
import type { Compare, Difference, Filled } from './comparison.js'
import { filledFields, type Node, type Schema } from './schema-node.js'

const NOT_FILLED: Filled = { writer: false, reader: false }

/** The name of a difference if only one of the two schemas names the member. */
function asMember(kind: 'PROPERTY' | 'ITEM', inReader: boolean, others: Schema): string {
  if (inReader) {
    return others === true
      ? `${kind}_ADDED_TO_OPEN_CONTENT_MODEL`
      : `${kind}_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL`
  }
  return others === false
    ? `${kind}_REMOVED_FROM_CLOSED_CONTENT_MODEL`
    : `${kind}_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL`
}

/**
 * The fields. For a field that a schema does not name, its `additionalProperties` decide: an open schema allows any value,
 * a closed one none.
 */
export function compareProperties(
  writer: Node,
  reader: Node,
  path: string,
  filled: Filled,
  compare: Compare,
): Difference[] {
  const found: Difference[] = []
  const present = new Set<string>(writer.required)
  if (filled.writer) for (const name of filledFields(writer)) present.delete(name)
  const given = new Set(filled.reader ? filledFields(reader) : [])
  for (const name of (reader.required ?? []) as string[]) {
    if (present.has(name) || given.has(name)) continue
    found.push({ path: pointerTo(`${path}/properties`, name), rule: 'REQUIRED_ATTRIBUTE_ADDED' })
  }

  // With patterns, it is hard to tell which schema applies to a field that is not named.
  const othersOfWriter: Schema = writer.patternProperties ? true : (writer.additionalProperties ?? true)
  const othersOfReader: Schema = reader.additionalProperties ?? true
  const names = new Set([...Object.keys(writer.properties ?? {}), ...Object.keys(reader.properties ?? {})])
  for (const name of names) {
    const [written, read] = [ownSchema(writer, name), ownSchema(reader, name)]
    const at = pointerTo(`${path}/properties`, name)
    if (written !== undefined && read !== undefined) {
      found.push(...compare(written, read, at, filled))
    } else if (compare(written ?? othersOfWriter, read ?? othersOfReader, at, NOT_FILLED).length > 0) {
      const inReader = read !== undefined
      found.push({ path: at, rule: asMember('PROPERTY', inReader, inReader ? othersOfWriter : othersOfReader) })
    }
  }
  if (compare(writer.additionalProperties ?? true, othersOfReader, path, NOT_FILLED).length > 0) {
    const rule = othersOfReader === false ? 'ADDITIONAL_PROPERTIES_REMOVED' : 'ADDITIONAL_PROPERTIES_NARROWED'
    found.push({ path: `${path}/additionalProperties`, rule })
  }
  // With patterns, `additionalProperties` covers fewer fields.
  const hasPatterns = writer.patternProperties !== undefined && reader.patternProperties === undefined
  const isOpen = isDeepStrictEqual(othersOfReader, true)
  if (hasPatterns && !isOpen) found.push({ path: `${path}/patternProperties`, rule: 'PATTERN_PROPERTIES_CHANGED' })
  return found
}

const ownSchema = ({ properties = {} }: Node, name: string): Schema | undefined =>
  Object.hasOwn(properties, name) ? properties[name] : undefined

/** Compares the items: those with a schema for their position, and the rest. */
export function compareItems(writer: Node, reader: Node, path: string, filled: Filled, compare: Compare): Difference[] {
  const found: Difference[] = []
  const [places, readPlaces]: Schema[][] = [writer.prefixItems ?? [], reader.prefixItems ?? []]
  const others: Schema = writer.items ?? true
  const othersOfReader: Schema = reader.items ?? true
  const longest = Math.min(Math.max(places!.length, readPlaces!.length), writer.maxItems ?? Infinity)
  for (let at = 0; at < longest; at++) {
    const [written, read] = [places![at], readPlaces![at]]
    const place = `${path}/prefixItems/${at}`
    const differences = compare(written ?? others, read ?? othersOfReader, place, NOT_FILLED)
    if (written !== undefined && read !== undefined) found.push(...differences)
    else if (differences.length > 0) {
      const inReader = read !== undefined
      found.push({ path: place, rule: asMember('ITEM', inReader, inReader ? others : othersOfReader) })
    }
  }
  if ((writer.maxItems ?? Infinity) > places!.length) {
    found.push(...compare(others, othersOfReader, `${path}/items`, filled))
  }
  return found
}
