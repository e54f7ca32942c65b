/**
 * Seals of entries. Any process that reaches Redis can add an entry to a stream, and a worker would settle what is in it, for
 * any tenant. So an entry carries an HMAC (RFC 2104, SHA-256, the first 128 bits) over its stream and its text, under a secret
 * that only Postgres has.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** Closes the texts of entries, and opens those that were closed with the same secret for the same stream. */
export interface Seal {
  /** The text as it goes into the stream. */
  close(stream: string, text: string): string
  /** The text that was closed for this stream; nothing where it was not, or was changed since. */
  open(stream: string, closed: string): string | undefined
}

/** Bytes of the HMAC that are kept, and as how many characters. */
const MAC_BYTES = 16
const MAC_LENGTH = 22

/** Makes the seal of an installation; `secret` is that of its database. */
export function createSeal(secret: Buffer): Seal {
  // No name of a stream holds a NUL, so that none can go on as the text of another one.
  const macOf = (stream: string, text: string) =>
    createHmac('sha256', secret).update(stream).update('\0').update(text).digest().subarray(0, MAC_BYTES)
  return {
    close: (stream, text) => macOf(stream, text).toString('base64url') + text,
    open(stream, closed) {
      const given = Buffer.from(closed.slice(0, MAC_LENGTH), 'base64url')
      const text = closed.slice(MAC_LENGTH)
      return given.length === MAC_BYTES && timingSafeEqual(given, macOf(stream, text)) ? text : undefined
    },
  }
}
