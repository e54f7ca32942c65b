/**
 * Seals of entries. Any process that reaches Redis can add an entry to a stream, and a worker would settle what is in
 * it, for any tenant. So an entry carries an HMAC (RFC 2104, SHA-256) over its stream and its text, under a secret that
 * only Postgres has.
 */
import { hash, timingSafeEqual } from 'node:crypto'

/** Closes the texts of entries, and opens those that were closed with the same secret for the same stream. */
export interface Seal {
  /** The text as it goes into the stream. */
  close(stream: string, text: string): string
  /** The text that was closed for this stream; nothing where it was not, or was changed since. */
  open(stream: string, closed: string): string | undefined
}

/** Bytes of a block of SHA-256. */
const BLOCK = 64
/** Characters of the HMAC in base64url that are kept: 132 bits. */
const MAC_LENGTH = 22

/** Makes the seal of an installation; `secret` is that of its database, of 32 bytes. */
export function createSeal(secret: Buffer): Seal {
  const macOf = createMac(secret)
  // No name of a stream holds a NUL, so two pairs of stream and text never give the same bytes.
  const sealOf = (stream: string, text: string) => macOf(`${stream}\0${text}`).slice(0, MAC_LENGTH)
  return {
    close: (stream, text) => sealOf(stream, text) + text,
    open(stream, closed) {
      const given = Buffer.from(closed.slice(0, MAC_LENGTH))
      const text = closed.slice(MAC_LENGTH)
      return given.length === MAC_LENGTH && timingSafeEqual(given, Buffer.from(sealOf(stream, text))) ? text : undefined
    },
  }
}

/**
 * HMAC-SHA-256 of a text, in base64url, under the secret's 64 hexadecimal digits. As it is defined, in two hashes of
 * one call each: every entry has one, and createHmac takes three times as long, since it makes a stream each time.
 */
export function createMac(secret: Buffer): (text: string) => string {
  const key = Buffer.from(secret.toString('hex'))
  if (key.length !== BLOCK) throw new TypeError(`a secret has ${BLOCK / 2} bytes, not ${secret.length}`)
  const inner = Buffer.from(key.map((byte) => byte ^ 0x36)).toString()
  const outer = Buffer.concat([key.map((byte) => byte ^ 0x5c), Buffer.alloc(32)])
  return (text) => {
    // The digits and 0x36 make characters of one byte each: the inner pad can go before the text.
    outer.write(hash('sha256', inner + text, 'binary'), BLOCK, 'binary')
    return hash('sha256', outer, 'base64url')
  }
}
