/**
 * Seals of entries. Any process that reaches Redis can add an entry to a stream, and a worker would settle the events
 * in it, for any tenant. So an entry carries an HMAC (RFC 2104, SHA-256) over its stream and its text, with a secret
 * that only Postgres has.
 */
import { hash, timingSafeEqual } from 'node:crypto'

/** Closes the texts of entries, and opens texts that were closed with the same secret for the same stream. */
export interface Seal {
  /** Returns the text as it is written to the stream. */
  close(stream: string, text: string): string
  /** Returns the text if it was closed for this stream and not changed since; otherwise undefined. */
  open(stream: string, closed: string): string | undefined
  /** Continues with another secret: what was closed with the earlier one does not open any more. */
  renew(secret: Buffer): void
}

/** The block size of SHA-256, in bytes. */
const BLOCK = 64
/** How many characters of the base64url HMAC are kept: 132 bits. */
const MAC_LENGTH = 22

/** Creates the seal of an installation; `secret` is the 32-byte secret in its database. */
export function createSeal(secret: Buffer): Seal {
  let macOf = createMac(secret)
  // Stream names contain no NUL, so two pairs of stream and text never give the same bytes.
  const sealOf = (stream: string, text: string) => macOf(`${stream}\0${text}`).slice(0, MAC_LENGTH)
  return {
    close: (stream, text) => sealOf(stream, text) + text,
    renew: (secret) => {
      macOf = createMac(secret)
    },
    open(stream, closed) {
      const given = Buffer.from(closed.slice(0, MAC_LENGTH))
      const text = closed.slice(MAC_LENGTH)
      return given.length === MAC_LENGTH && timingSafeEqual(given, Buffer.from(sealOf(stream, text))) ? text : undefined
    },
  }
}

/**
 * Returns the HMAC-SHA-256 of a text, in base64url, with the 64 hexadecimal digits of the secret as key. It is computed
 * with two hash calls, as HMAC is defined: createHmac takes three times as long, because it creates a stream object
 * each time, and every entry needs a seal.
 */
export function createMac(secret: Buffer): (text: string) => string {
  const key = Buffer.from(secret.toString('hex'))
  if (key.length !== BLOCK) throw new TypeError(`a secret must have ${BLOCK / 2} bytes, not ${secret.length}`)
  const inner = Buffer.from(key.map((byte) => byte ^ 0x36)).toString()
  const outer = Buffer.concat([key.map((byte) => byte ^ 0x5c), Buffer.alloc(32)])
  return (text) => {
    // The digits XOR 0x36 are one-byte characters, so the inner pad can be prepended to the text.
    outer.write(hash('sha256', inner + text, 'binary'), BLOCK, 'binary')
    return hash('sha256', outer, 'base64url')
  }
}
