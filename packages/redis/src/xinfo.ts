/** Replies of XINFO: flat lists of names and values. */
import { CONSUMER_GROUP } from '@eventflow/core'

/** The fields of one reply by their names. */
export function fieldsOf(flat: readonly unknown[]): Map<string, unknown> {
  return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[String(name), flat[i + 1]] as const] : [])))
}

/** The workers' consumer group in a reply to XINFO GROUPS; nothing where the stream has no such group. */
export function groupIn(groups: unknown): Map<string, unknown> | undefined {
  return (groups as unknown[][]).map(fieldsOf).find((fields) => fields.get('name') === CONSUMER_GROUP)
}
