/** `order.created`: nested data, and a field that is derived from it. */
import { type AcceptedEvent, defineEvent, derive, type Static, Type } from '@eventflow/sdk'

const Order = Type.Object({
  orderId: Type.String({ minLength: 1 }),
  userId: Type.String({ minLength: 1 }),
  currency: Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217' }),
  items: Type.Array(
    Type.Object({
      sku: Type.String({ minLength: 1 }),
      quantity: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
      unitPrice: Type.Integer({ minimum: 0, maximum: 1_000_000_00, description: 'In the smallest unit: cents' }),
    }),
    { minItems: 1, maxItems: 50 },
  ),
})

export default defineEvent({
  type: 'order.created',
  description: "A user has placed an order. Its total is derived from its items; a user's orders stay in order.",
  schema: Order,
  example: {
    orderId: 'o-1001',
    userId: 'u-42',
    currency: 'EUR',
    items: [
      { sku: 'tea-green-250', quantity: 2, unitPrice: 650 },
      { sku: 'cup-blue', quantity: 1, unitPrice: 1290 },
    ],
  },
  key: (order) => order.userId,
  enrich: [
    derive('total', ({ data }: AcceptedEvent<Static<typeof Order>>) => ({
      total: data.items.reduce((total, item) => total + item.quantity * item.unitPrice, 0),
    })),
  ],
})
