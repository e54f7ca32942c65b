/** The ordering key and the identity of an event. */
import { expect, test } from '@jest/globals'
import { identityOf } from './identity.js'
import { orderingKey } from './ordering.js'

const pairs = [
  ['a', 'bc'],
  ['ab', 'c'],
  ['a', 'c'],
] as const

test('combine the tenant with the key or the id', () => {
  expect(new Set(pairs.map(([tenantId, key]) => orderingKey({ tenantId, key }))).size).toBe(pairs.length)
  expect(new Set(pairs.map(([tenantId, id]) => identityOf({ tenantId, id }))).size).toBe(pairs.length)
})
