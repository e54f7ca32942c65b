/** Parses replies of XINFO, which are flat lists of names and values. */
import { CONSUMER_GROUP } from '@eventflow/core'

/** Returns the fields of one reply by name. */
export function fieldsOf(flat: readonly unknown[]): Map<string, unknown> {
  return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[String(name), flat[i + 1]] as const] : [])))
}

/** Returns the workers' consumer group in a reply to XINFO GROUPS; undefined if the stream has no such group. */
export function groupIn(groups: unknown): Map<string, unknown> | undefined {
  return (groups as unknown[][]).map(fieldsOf).find((fields) => fields.get('name') === CONSUMER_GROUP)
}
