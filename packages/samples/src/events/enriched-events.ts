/** A join: each payment with its user as the user was when the payment was made. */
import { type AcceptedEvent, defineEvent, defineJoin, type Static, Type } from '@eventflow/sdk'

const UserId = Type.String({ minLength: 1 })
const Name = Type.String({ minLength: 1, maxLength: 200 })
const Plan = Type.Union([Type.Literal('free'), Type.Literal('pro')])
const Cents = Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'In the smallest unit: cents' })

const User = Type.Object({ userId: UserId, name: Name, plan: Plan })
const Payment = Type.Object({ paymentId: Type.String({ minLength: 1 }), userId: UserId, cents: Cents })

const userEvents = defineEvent({
  type: 'user_events',
  description: 'A user has registered, or has changed their name or plan.',
  schema: User,
  example: { userId: 'u-42', name: 'Ada Lovelace', plan: 'pro' },
  key: (user) => user.userId,
})

const paymentEvents = defineEvent({
  type: 'payment_events',
  description: 'A user has paid.',
  schema: Payment,
  example: { paymentId: 'p-7', userId: 'u-42', cents: 2590 },
  key: (payment) => payment.userId,
})

const enrichedEvents = defineEvent({
  type: 'enriched_events',
  description: 'A payment with the user who made it; without one if the user is not known. The join emits it.',
  schema: Type.Object({
    ...Payment.properties,
    user: Type.Union([Type.Object({ name: Name, plan: Plan }), Type.Null()]),
  }),
  example: { paymentId: 'p-7', userId: 'u-42', cents: 2590, user: { name: 'Ada Lovelace', plan: 'pro' } },
  key: (payment) => payment.userId,
})

const paymentsWithUsers = defineJoin({
  name: 'payments-with-users',
  description: 'Each payment with the latest event of its user that is not later than the payment.',
  left: 'user_events',
  right: 'payment_events',
  // `outer`, so that a payment without a user is not missing.
  kind: 'outer',
  match: 'latest',
  from: 'earliest',
  time: { outOfOrderness: '2s', idle: '5s' },
  select: (user: AcceptedEvent<Static<typeof User>> | null, payment: AcceptedEvent<Static<typeof Payment>> | null) =>
    payment && { ...payment.data, user: user && { name: user.data.name, plan: user.data.plan } },
  emit: 'enriched_events',
})

export default [userEvents, paymentEvents, enrichedEvents, paymentsWithUsers]
