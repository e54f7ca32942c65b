/** A window beside the plain event: orders and items of each user in ten seconds. */
import { type AcceptedEvent, count, defineWindow, sum, tumbling } from '@eventflow/sdk'
import plain from '../../events/plain.js'

type Ordered = AcceptedEvent<{ items: readonly { quantity: number }[] }>

export default [
  plain,
  defineWindow({
    name: 'window',
    on: ['bench.plain'],
    from: 'earliest',
    window: tumbling('10s'),
    aggregate: {
      orders: count(),
      items: sum(({ data }: Ordered) => data.items.reduce((total, { quantity }) => total + quantity, 0)),
    },
  }),
]
