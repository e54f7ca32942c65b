/** Made-up events: orders of ten thousand users, about 400 bytes each. */
import type { OutgoingEvent } from '@eventflow/client'
import { v7 } from 'uuid'
import { createRandom, createZipf } from './random.js'

const USERS = 10_000
const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY']
const GOODS = ['tea-green-250', 'tea-black-100', 'cup-blue', 'cup-white', 'kettle-steel', 'honey-500', 'spoon-oak']

export interface OrdersOptions {
  count: number
  /** The first order's time, in milliseconds since 1970; each further one is a millisecond later. */
  startMs: number
  seed: number
  /** The skew of the orders over the users: the exponent of Zipf's law, 0 for uniform. */
  keySkew: number
}

/** `count` events of type `order.created`, made one by one; the same options give the same events with the same ids. */
export function* createOrders({ count, startMs, seed, keySkew }: OrdersOptions): Generator<OutgoingEvent> {
  const random = createRandom(seed)
  const drawUser = createZipf(USERS, keySkew, random)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const idBytes = new Uint8Array(16)
  for (let n = 0; n < count; n++) {
    const userId = `user-${drawUser()}`
    const timeMs = startMs + n
    const items = Array.from({ length: 1 + upTo(3) }, () => {
      return { sku: GOODS[upTo(GOODS.length)]!, quantity: 1 + upTo(5), unitPrice: 100 + upTo(10_000) }
    })
    yield {
      type: 'order.created',
      id: v7({ msecs: timeMs, random: idBytes.map(() => upTo(256)) }),
      source: '/producer',
      time: new Date(timeMs).toISOString(),
      partitionkey: userId,
      data: { orderId: `order-${n}`, userId, currency: CURRENCIES[upTo(CURRENCIES.length)]!, items },
    }
  }
}
