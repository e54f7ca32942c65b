/** Finds the differences between two versions of a schema, by path. */
import type { Json } from './answers.js'

export interface Change {
  /** The place, as a JSON pointer. */
  path: string
  kind: 'added' | 'removed' | 'changed'
  before?: Json
  after?: Json
}

/** Returns all differences in the order of the schemas. A part that is completely new or gone is one difference. */
export function changesBetween(before: Json, after: Json, path = ''): Change[] {
  if (isObject(before) && isObject(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)])
    const of = (schema: { [name: string]: Json }, name: string) =>
      Object.hasOwn(schema, name) ? schema[name] : undefined
    return [...names].flatMap((name) => {
      const at = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
      return changeOf(of(before, name), of(after, name), at)
    })
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    // In `required`, `enum` and `type` the order has no meaning, so an index would not help.
    if ([...before, ...after].every(isScalar)) return changesOfSet(before, after, path)
    const length = Math.max(before.length, after.length)
    return Array.from({ length }, (_, i) => changeOf(before[i], after[i], `${path}/${i}`)).flat()
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, kind: 'changed', before, after }]
}

function changeOf(before: Json | undefined, after: Json | undefined, path: string): Change[] {
  if (before === undefined) return after === undefined ? [] : [{ path, kind: 'added', after }]
  return after === undefined ? [{ path, kind: 'removed', before }] : changesBetween(before, after, path)
}

function changesOfSet(before: readonly Json[], after: readonly Json[], path: string): Change[] {
  const [had, has] = [new Set(before), new Set(after)]
  return [
    ...before.filter((item) => !has.has(item)).map((item): Change => ({ path, kind: 'removed', before: item })),
    ...after.filter((item) => !had.has(item)).map((item): Change => ({ path, kind: 'added', after: item })),
  ]
}

const isScalar = (value: Json) => typeof value !== 'object' || value === null

const isObject = (value: Json): value is { [name: string]: Json } => !isScalar(value) && !Array.isArray(value)
