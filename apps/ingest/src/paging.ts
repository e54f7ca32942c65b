/** Lists that come a page at a time: what is asked for, in a query string. */
import { Type } from '@sinclair/typebox'

const DEFAULT_LIMIT = 50

/** The parameters of a list. */
export const PageQuery = {
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9]\\d{0,2}|1000)$',
      description: `1 to 1000, ${DEFAULT_LIMIT} where it is missing`,
    }),
  ),
  cursor: Type.Optional(Type.String({ pattern: '^\\d{1,15}$', description: '`next` of the page before' })),
}

/** What the schema above lets through. */
export interface SentPage {
  limit?: string | undefined
  cursor?: string | undefined
}

/** Where the next page goes on. */
export const NextPage = Type.Union([Type.String(), Type.Null()], {
  description: '`cursor` of the next page; null on the last',
})

/** The page as the database is asked for it. */
export function readPage({ limit = String(DEFAULT_LIMIT), cursor }: SentPage) {
  return { before: cursor === undefined ? undefined : Number(cursor), limit: Number(limit) }
}
