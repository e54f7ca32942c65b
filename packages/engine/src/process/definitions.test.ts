/** Compiling event definitions. */
import { DEFAULT_RETRY_POLICY } from '@eventflow/core'
import { defineEvent, Type } from '@eventflow/sdk'
import { expect, test } from '@jest/globals'
import { deliveryOf } from '../partition/delivery.fixture.js'
import { compileDefinitions, orderOf } from './definitions.js'

const ordered = defineEvent({ type: 'order.created', schema: Type.Object({ net: Type.Integer() }) })
const unordered = defineEvent({
  type: 'page.viewed',
  schema: Type.Object({}),
  order: 'none',
  retry: { attempts: 2 },
})
const definitions = compileDefinitions(new Map([ordered, unordered].map((definition) => [definition.type, definition])))

test('the default completes the retry policy', () => {
  expect(definitions.get('order.created')!.retry).toEqual(DEFAULT_RETRY_POLICY)
  expect(definitions.get('page.viewed')!.retry).toEqual({ ...DEFAULT_RETRY_POLICY, attempts: 2 })
})

test('the schema is compiled to a check', () => {
  expect(definitions.get('order.created')!.contract.check({ net: 'x' })).toEqual([
    { pointer: '/net', message: 'must be integer' },
  ])
})

test('order is kept by key, also for an unknown type; a type with order "none" keeps none', () => {
  const orderFor = (type: string) => {
    const [first, second] = [1, 2].map((seq) => orderOf(definitions)(deliveryOf(seq, { type, key: 'same' })))
    return first === second
  }
  expect([orderFor('order.created'), orderFor('page.viewed'), orderFor('unknown')]).toEqual([true, false, true])
})
