/** `bench.checked`: `bench.plain`, held against its schema at the door too. */
import { defineEvent } from '@eventflow/sdk'
import { Order } from '../order-schema.js'

export default defineEvent({
  type: 'bench.checked',
  schema: Order,
  key: (order) => order.userId,
  validateAt: 'ingest',
})
