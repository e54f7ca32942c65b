/** The names of a partition's stream and of the field in its entries. */

/** The only field of an entry: Redis adds and reads one packed field faster than a field for each attribute. */
export const FIELD = 'e'

/** The name of a partition's stream. The braces are the hash tag of Redis Cluster. */
export function streamKey(prefix: string, partition: number): string {
  return `${prefix}:{p${partition}}:events`
}
