/**
 * Paging of lists, with parameters in the query string. The end of a page may count the events of all tenants, so a
 * cursor is encrypted: AES-256-GCM with a random nonce (NIST SP 800-38D), and a key derived from the
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

/** As `PageQuery`, for lists in the order of several values, among them a key. */
export const PlaceQuery = {
  ...PageQuery,
  cursor: Type.Optional(Type.String({ ...PageQuery.cursor, maxLength: 2_000 })),
}

/** Parameters that match the schemas above. */
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

/** The parameters of a page of a list in the order of several values. */
interface PlacePage {
  /** The list continues behind the row with these values; from its start if undefined. */
  after: readonly string[] | undefined
  limit: number
  /** Returns the cursor of the page that continues behind a row; `null` for `null`. */
  next(after: readonly string[] | null): string | null
}

/** Converts the rows of a page to the form of the API; `numberOf` returns the number by which they are ordered. */
export function describePage<Row, Item>(
  page: Page,
  rows: readonly Row[],
  numberOf: (row: Row) => number,
  describe: (row: Row) => Item,
): { items: Item[]; next: string | null } {
  const before = rows.length === page.limit ? numberOf(rows.at(-1)!) : null
  return { items: rows.map((row) => describe(row)), next: page.next(before) }
}

/** As `ReadPage`. */
export type ReadPlacePage = (list: string, tenantId: string, sent: SentPage) => PlacePage

const NONCE_BYTES = 12
const NUMBER_BYTES = 8
const TAG_BYTES = 16

/**
 * Creates the readers of paging parameters. `secret` is that of the installation, so that all its processes accept each
 * other's cursors.
 */
export function createPaging(secret: Buffer): { readPage: ReadPage; readPlacePage: ReadPlacePage } {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'cursor', 32))

  function seal(plain: Buffer, of: Buffer): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(of)
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url')
  }

  function open(cursor: string, of: Buffer): Buffer | undefined {
    const bytes = Buffer.from(cursor, 'base64url')
    if (bytes.length <= NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== cursor) return undefined
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    decipher.setAAD(of).setAuthTag(bytes.subarray(-TAG_BYTES))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
    } catch {
      return undefined
    }
  }

  /** Reads the parameters of a list whose cursors have values of one kind. */
  function readWith<Value>(write: (value: Value) => Buffer, read: (plain: Buffer) => Value) {
    return (list: string, tenantId: string, { limit = String(DEFAULT_LIMIT), cursor }: SentPage) => {
      const of = Buffer.from(`${list}\0${tenantId}`)
      const plain = cursor === undefined ? undefined : open(cursor, of)
      if (cursor !== undefined && plain === undefined) throw foreignCursor()
      const next = (value: Value | null) => (value === null ? null : seal(write(value), of))
      return { at: plain && read(plain), limit: Number(limit), next }
    }
  }

  const numbers = readWith(
    (number: number) => {
      const plain = Buffer.alloc(NUMBER_BYTES)
      plain.writeBigUInt64BE(BigInt(number))
      return plain
    },
    (plain) => Number(plain.readBigUInt64BE()),
  )
  const places = readWith(
    (values: readonly string[]) => Buffer.from(JSON.stringify(values)),
    (plain): readonly string[] => JSON.parse(plain.toString()),
  )
  return {
    readPage: (...given) => {
      const { at, ...page } = numbers(...given)
      return { before: at, ...page }
    },
    readPlacePage: (...given) => {
      const { at, ...page } = places(...given)
      return { after: at, ...page }
    },
  }
}

function foreignCursor(): RequestError {
  const message = 'is not a `next` of this list: it is damaged, from another list or tenant, or older than an upgrade'
  return new RequestError('invalid-query', `/cursor ${message}`, [{ pointer: '/cursor', message }])
}
