/** The events of all measurements: orders of about 300 bytes, each with its own id and a random user. */
import { createUuidV7 } from '@eventflow/core'

/** The default number of users. */
export const USERS = 100_000

const DATA = {
  orderId: 'o-20260101-000117',
  country: 'DE',
  currency: 'EUR',
  items: [
    { sku: 'tea-green-250', quantity: 2, unitPrice: 650 },
    { sku: 'cup-blue', quantity: 1, unitPrice: 1290 },
    { sku: 'kettle-1l', quantity: 1, unitPrice: 3490 },
  ],
  note: 'leave it with the neighbours',
}

/** Ids as the client SDK makes them. Not for secrets: Math.random is cheap, and random enough for distinct ids. */
export const newId = createUuidV7(Date.now, (buffer) => {
  for (let at = 0; at < buffer.length; at += 4) buffer.writeUInt32LE(Math.random() * 2 ** 32, at)
  return buffer
})

/** Uniform over the users, and always of the same length. */
export function randomUser(users: number): string {
  return `u-${Math.floor(Math.random() * users)
    .toString()
    .padStart(8, '0')}`
}

/** The data of one order. */
export function orderOf(userId: string) {
  return { userId, ...DATA }
}
