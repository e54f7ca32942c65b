/**
 * Places in the log as clients get them. Positions count the events of all tenants, so a client must not be able to read
 * them, and no place of another tenant or partition is accepted.
 *
 * A token is encrypted with a nonce that is made from its content (a synthetic IV, RFC 5297; here HMAC-SHA-256 and AES in
 * counter mode), because pages have far more tokens than random nonces are safe for. So the token of a position is always
 * the same. A cursor has random bytes as well: otherwise it would show whether other tenants have new events.
 *
 * The keys are derived from the secret of the incarnation (HKDF, RFC 5869): after a restore, a position may be that of
 * another event.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import type { LogPlace } from '@eventflow/db'

export interface LogTokens {
  /** Returns the token of a position. */
  positionOf(tenantId: string, place: LogPlace): string
  /** Returns the position of a token, undefined if it is not one of this tenant and partition. */
  readPosition(tenantId: string, partition: number, token: string): number | undefined
  /** Returns the cursor of places in partitions that follow one another. */
  cursorOf(tenantId: string, places: readonly LogPlace[]): string
  /** Returns the places of a cursor, undefined if it is not one of this tenant. */
  readCursor(tenantId: string, cursor: string): LogPlace[] | undefined
}

const IV_BYTES = 16
const POSITION_BYTES = 6
const PARTITION_BYTES = 2
const SALT_BYTES = 8

/** The first letter of a token, so that a cursor can be told from a time. */
const POSITION = 'p'
const CURSOR = 'c'

/** The longest cursor of 1,024 partitions. */
export const MAX_CURSOR_LENGTH = 8_300

let latest: { secret: Buffer; tokens: LogTokens } | undefined

/** Returns the tokens of an incarnation with this secret. */
export function logTokensOf(secret: Buffer): LogTokens {
  if (latest === undefined || !latest.secret.equals(secret)) latest = { secret, tokens: createLogTokens(secret) }
  return latest.tokens
}

function createLogTokens(secret: Buffer): LogTokens {
  const keys = Buffer.from(hkdfSync('sha256', secret, '', 'position', 64))
  const [macKey, key] = [keys.subarray(0, 32), keys.subarray(32)]
  const ivOf = (plain: Buffer, of: string) =>
    createHmac('sha256', macKey).update(`${of}\0`).update(plain).digest().subarray(0, IV_BYTES)

  function close(kind: string, plain: Buffer, of: string): string {
    const iv = ivOf(plain, kind + of)
    return kind + Buffer.concat([iv, createCipheriv('aes-256-ctr', key, iv).update(plain)]).toString('base64url')
  }

  function open(kind: string, token: string, of: string): Buffer | undefined {
    const bytes = Buffer.from(token.slice(1), 'base64url')
    if (kind + bytes.toString('base64url') !== token || bytes.length <= IV_BYTES) return undefined
    const iv = bytes.subarray(0, IV_BYTES)
    const plain = createDecipheriv('aes-256-ctr', key, iv).update(bytes.subarray(IV_BYTES))
    return timingSafeEqual(iv, ivOf(plain, kind + of)) ? plain : undefined
  }

  return {
    positionOf(tenantId, { partition, after }) {
      const plain = Buffer.alloc(POSITION_BYTES)
      plain.writeUIntBE(after, 0, POSITION_BYTES)
      return close(POSITION, plain, `${tenantId}\0${partition}`)
    },
    readPosition(tenantId, partition, token) {
      return open(POSITION, token, `${tenantId}\0${partition}`)?.readUIntBE(0, POSITION_BYTES)
    },
    cursorOf(tenantId, places) {
      const plain = Buffer.alloc(SALT_BYTES + PARTITION_BYTES + POSITION_BYTES * places.length)
      randomBytes(SALT_BYTES).copy(plain)
      plain.writeUInt16BE(places[0]!.partition, SALT_BYTES)
      for (const [i, { after }] of places.entries()) plain.writeUIntBE(after, placeAt(i), POSITION_BYTES)
      return close(CURSOR, plain, tenantId)
    },
    readCursor(tenantId, cursor) {
      const plain = open(CURSOR, cursor, tenantId)
      if (!plain) return undefined
      const first = plain.readUInt16BE(SALT_BYTES)
      return Array.from({ length: (plain.length - placeAt(0)) / POSITION_BYTES }, (_, i) => {
        return { partition: first + i, after: plain.readUIntBE(placeAt(i), POSITION_BYTES) }
      })
    },
  }
}

const placeAt = (i: number) => SALT_BYTES + PARTITION_BYTES + POSITION_BYTES * i
