/** The names of a partition's stream, of the field in its entries, and of the consumer group. */

/** The one field of an entry: Redis adds and reads one packed field faster than one for each attribute. */
export const FIELD = 'e'

/** The stream of a partition. The braces are the hash tag of Redis Cluster. */
export function streamKey(prefix: string, partition: number): string {
  return `${prefix}:{p${partition}}:events`
}
