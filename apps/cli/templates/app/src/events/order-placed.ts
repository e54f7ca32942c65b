/** `order.placed`: a customer has placed an order. Its total is added to what the customer has spent so far. */
import { type AcceptedEvent, defineEvent, derive, type Static, Type } from '@eventflow/sdk'

const Order = Type.Object({
  orderId: Type.String({ minLength: 1 }),
  customerId: Type.String({ minLength: 1 }),
  items: Type.Array(
    Type.Object({
      sku: Type.String({ minLength: 1 }),
      quantity: Type.Integer({ minimum: 1 }),
      unitPrice: Type.Integer({ minimum: 0, description: 'In cents' }),
    }),
    { minItems: 1 },
  ),
})
type Order = Static<typeof Order>

export default defineEvent({
  type: 'order.placed',
  description: 'A customer has placed an order.',
  schema: Order,
  example: { orderId: 'o-1', customerId: 'c-1', items: [{ sku: 'tea', quantity: 2, unitPrice: 650 }] },
  // The orders of one customer are processed in their order.
  key: (order) => order.customerId,
  enrich: [
    derive('total', ({ data }: AcceptedEvent<Order>) => ({
      total: data.items.reduce((total, { quantity, unitPrice }) => total + quantity * unitPrice, 0),
    })),
  ],
  validate: ({ data }) =>
    data.total <= 1_000_000 ? [] : [{ pointer: '/items', message: `${data.total} cents are too much for one order` }],
  prepare: async (tx) => {
    await tx.query(
      `CREATE TABLE IF NOT EXISTS customer_totals (
        tenant_id text, customer_id text, orders integer, cents bigint, PRIMARY KEY (tenant_id, customer_id))`,
    )
  },
  handle: async ({ tenantId, data }, tx) => {
    await tx.query(
      `INSERT INTO customer_totals VALUES ($1, $2, 1, $3)
       ON CONFLICT (tenant_id, customer_id)
       DO UPDATE SET orders = customer_totals.orders + 1, cents = customer_totals.cents + excluded.cents`,
      [tenantId, data.customerId, data.total],
    )
  },
})
