/** A stream entry: one event, packed into one field. */
import type { RawEvent } from '@eventflow/core'

/** The one field of an entry: Redis adds and reads one packed field faster than one for each attribute. */
export const FIELD = 'e'

/** The stream of a partition. The braces are the hash tag of Redis Cluster. */
export function streamKey(prefix: string, partition: number): string {
  return `${prefix}:{p${partition}}:events`
}

/** Packs an event. Its payload is JSON text already and goes in as it is. */
export function encodeEntry({ payload, ...meta }: RawEvent): string {
  return `${JSON.stringify(meta).slice(0, -1)},"data":${payload}}`
}
