/** `bench.checked`: `bench.plain`, also validated against its schema at ingest. */
import { defineEvent } from '@eventflow/sdk'
import { Order } from '../order-schema.js'

export default defineEvent({
  type: 'bench.checked',
  schema: Order,
  key: (order) => order.userId,
  validateAt: 'ingest',
})
