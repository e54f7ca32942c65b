/** The schema, the enrichment and the handler of the bench's events. */
import { type AcceptedEvent, derive, lookup, type Sql, type Static, Type } from '@eventflow/sdk'

export const Order = Type.Object({
  orderId: Type.String({ minLength: 1 }),
  userId: Type.String({ minLength: 1 }),
  country: Type.String({ pattern: '^[A-Z]{2}$' }),
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  items: Type.Array(
    Type.Object({
      sku: Type.String({ minLength: 1 }),
      quantity: Type.Integer({ minimum: 1 }),
      unitPrice: Type.Integer({ minimum: 0 }),
    }),
    { minItems: 1, maxItems: 50 },
  ),
  note: Type.String({ maxLength: 500 }),
})

export type OrderEvent = AcceptedEvent<Static<typeof Order>>

/** A row of a table, cached after the first batch, and a sum. */
export const enrichment = [
  lookup({
    table: 'bench_countries',
    key: 'code',
    columns: ['name', 'vat'],
    fields: { sold_in: ({ data }: OrderEvent) => data.country },
  }),
  derive('total', ({ data }: OrderEvent) => ({
    total: data.items.reduce((total, { quantity, unitPrice }) => total + quantity * unitPrice, 0),
  })),
] as const

/** Creates the table that orders are enriched from. */
export async function prepareCountries(tx: Sql): Promise<void> {
  await tx.query('CREATE TABLE IF NOT EXISTS bench_countries (code text PRIMARY KEY, name text, vat integer)')
  await tx.query("INSERT INTO bench_countries VALUES ('DE', 'Germany', 19) ON CONFLICT DO NOTHING")
}
