/** `payment.captured`: payments are independent, so none waits for the retries of another. */
import { defineEvent, Type } from '@eventflow/sdk'

const Cents = Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'In the smallest unit: cents' })

export default defineEvent({
  type: 'payment.captured',
  description: 'An authorized payment has been captured, in full or in part. Payments are processed in any order.',
  schema: Type.Object({
    paymentId: Type.String({ minLength: 1 }),
    orderId: Type.String({ minLength: 1 }),
    currency: Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217' }),
    authorized: Cents,
    captured: Cents,
  }),
  example: { paymentId: 'p-7', orderId: 'o-1001', currency: 'EUR', authorized: 2590, captured: 2590 },
  key: (payment) => payment.orderId,
  validate: ({ data }) =>
    data.captured <= data.authorized
      ? []
      : [{ pointer: '/captured', message: `captured ${data.captured} of ${data.authorized} authorized` }],
  retry: { attempts: 8, baseDelayMs: 1_000, maxDelayMs: 60_000 },
  order: 'none',
})
