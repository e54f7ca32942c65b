/** UUIDs as event ids (RFC 9562). */
import { hash } from 'node:crypto'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/** The source of an event that names none. */
export const DEFAULT_SOURCE = '/'

/**
 * The event id for a producer's (source, id), which identifies a CloudEvent. A UUID of the default source is used as it
 * is, every other pair gets a UUIDv5. The case of a UUID does not count (RFC 9562, 4).
 */
export function eventIdOf(tenantId: string, source: string, id: string): string {
  if (!isUuid(id)) return uuidOf(tenantId, source, id)
  const uuid = id.toLowerCase()
  return source === DEFAULT_SOURCE ? uuid : uuidOf(tenantId, source, uuid)
}

/** The namespace of derived event ids: UUIDv5 of the DNS namespace and "eventflow". */
const NAMESPACE = Buffer.from('1fa1ea20aeca574d8bc60e9b989e2074', 'hex')

/** UUIDv5 of (tenant, source, id): the same producer's id always becomes the same event id. */
export function uuidOf(tenantId: string, source: string, id: string): string {
  const name = Buffer.from(`${tenantId}\0${source}\0${id}`)
  // One call of `hash` takes half the time of createHash, update and digest.
  const hex = hash('sha1', Buffer.concat([NAMESPACE, name]))
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** Random bytes are drawn for this many UUIDs at once: each draw takes longer than everything else. */
const DRAWN_AT_ONCE = 256

/**
 * Makes ascending UUIDv7s within the process, so that new rows always go to the right edge of the primary key. `now`
 * gives milliseconds since 1970, `random` fills a buffer with random bytes. The 12 bits after the time are a counter
 * (RFC 9562, 6.2, method 1); when it overflows within a millisecond, the time is advanced by one.
 */
export function createUuidV7(now: () => number, random: (buffer: Buffer) => Buffer): () => string {
  const bytes = Buffer.alloc(16 * DRAWN_AT_ONCE)
  let at = bytes.length
  let time = 0
  let counter = 0
  return () => {
    const current = now()
    if (current > time) {
      time = current
      counter = 0
    } else if (++counter > 0xfff) {
      time += 1
      counter = 0
    }
    if (at === bytes.length) {
      random(bytes)
      at = 0
    }
    bytes.writeUIntBE(time, at, 6)
    bytes[at + 6] = 0x70 | (counter >>> 8)
    bytes[at + 7] = counter & 0xff
    bytes[at + 8] = (bytes[at + 8]! & 0x3f) | 0x80
    at += 16
    return format(bytes, at - 16)
  }
}

function format(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
