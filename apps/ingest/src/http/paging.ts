/**
 * Paging of lists, with parameters in the query string. The end of a page is a number that counts the events of all
 * tenants, so a cursor is encrypted: AES-256-GCM with a random nonce (NIST SP 800-38D), and a key derived from the
 * secret of the installation (HKDF, RFC 5869). It is bound to its list and its tenant.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { RequestError } from './problem.js'

const DEFAULT_LIMIT = 50

/** The parameters of a list. */
export const PageQuery = {
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9]\\d{0,2}|1000)$',
      description: `1 to 1000; the default is ${DEFAULT_LIMIT}`,
    }),
  ),
  cursor: Type.Optional(Type.String({ maxLength: 200, description: '`next` of the previous page' })),
}

/** Parameters that match the schema above. */
export interface SentPage {
  limit?: string | undefined
  cursor?: string | undefined
}

/** Where the next page continues. */
export const NextPage = Type.Union([Type.String(), Type.Null()], {
  description: '`cursor` of the next page; null on the last',
})

/** The parameters of a page for the database. */
interface Page {
  /** The list continues below this number; from its start if undefined. */
  before: number | undefined
  limit: number
  /** Returns the cursor of the page that continues below a number; `null` for `null`. */
  next(before: number | null): string | null
}

/**
 * Reads the paging parameters for a list of a tenant. Throws RequestError if the cursor is not one of this list and
 * tenant.
 */
export type ReadPage = (list: string, tenantId: string, sent: SentPage) => Page

const NONCE_BYTES = 12
const NUMBER_BYTES = 8
const TAG_BYTES = 16
const CURSOR_BYTES = NONCE_BYTES + NUMBER_BYTES + TAG_BYTES

/** In base64url, which needs no padding here. */
const CURSOR_LENGTH = (CURSOR_BYTES / 3) * 4

/**
 * Creates the reader of paging parameters. `secret` is that of the installation, so that all its processes accept each
 * other's cursors.
 */
export function createPaging(secret: Buffer): ReadPage {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'cursor', 32))

  function seal(number: number, of: Buffer): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(of)
    const plain = Buffer.alloc(NUMBER_BYTES)
    plain.writeBigUInt64BE(BigInt(number))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url')
  }

  function open(cursor: string, of: Buffer): number | undefined {
    const bytes = Buffer.from(cursor, 'base64url')
    if (cursor.length !== CURSOR_LENGTH || bytes.length !== CURSOR_BYTES) return undefined
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    decipher.setAAD(of).setAuthTag(bytes.subarray(-TAG_BYTES))
    try {
      const plain = [decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]
      return Number(Buffer.concat(plain).readBigUInt64BE())
    } catch {
      return undefined
    }
  }

  return (list, tenantId, { limit = String(DEFAULT_LIMIT), cursor }) => {
    const of = Buffer.from(`${list}\0${tenantId}`)
    const before = cursor === undefined ? undefined : open(cursor, of)
    if (cursor !== undefined && before === undefined) throw foreignCursor()
    return { before, limit: Number(limit), next: (number) => (number === null ? null : seal(number, of)) }
  }
}

function foreignCursor(): RequestError {
  const message = 'is not a `next` of this list: it is damaged, from another list or tenant, or older than an upgrade'
  return new RequestError('invalid-query', `/cursor ${message}`, [{ pointer: '/cursor', message }])
}
