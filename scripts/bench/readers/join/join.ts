/** A join beside the plain event: the orders of a user that happened within two seconds of one another. */
import { type AcceptedEvent, defineEvent, defineJoin, Type } from '@eventflow/sdk'
import plain from '../../events/plain.js'

type Ordered = AcceptedEvent<{ orderId: string }>

export default [
  plain,
  defineEvent({
    type: 'bench.pair',
    schema: Type.Object({ first: Type.String(), second: Type.String() }),
  }),
  defineJoin({
    name: 'join',
    left: 'bench.plain',
    right: 'bench.plain',
    from: 'earliest',
    within: { before: '0s', after: '2s' },
    select: (first: Ordered, second: Ordered) => ({ first: first.data.orderId, second: second.data.orderId }),
    emit: 'bench.pair',
  }),
]
