/** `bench.plain`: only a schema. */
import { defineEvent } from '@eventflow/sdk'
import { Order } from '../order-schema.js'

export default defineEvent({ type: 'bench.plain', schema: Order, key: (order) => order.userId })
