/** `order.placed` against a real pipeline: a Postgres, a Redis, the HTTP service and a worker, started for this test. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Pipeline, startPipeline } from '@eventflow/testing'
import orderPlaced from './order-placed.ts'

let pipeline: Pipeline

before(async () => {
  pipeline = await startPipeline({ definitions: [orderPlaced] })
})
after(() => pipeline?.stop())

const order = (orderId: string, items: object[]) => ({
  type: 'order.placed',
  source: '/shop',
  id: orderId,
  data: { orderId, customerId: 'c-1', items },
})

test('orders add up by customer, and an order that is sent twice counts once', async () => {
  const [first, second] = await pipeline.send([
    order('o-1', [{ sku: 'tea', quantity: 2, unitPrice: 650 }]),
    order('o-2', [{ sku: 'cup', quantity: 1, unitPrice: 1290 }]),
  ])
  const { result } = await pipeline.processed(first!)
  assert.equal(result.total, 1300)
  await pipeline.processed(second!)

  const again = await pipeline.send(order('o-1', [{ sku: 'tea', quantity: 2, unitPrice: 650 }]))
  assert.deepEqual(again, { id: first!.id, duplicate: true })
  assert.deepEqual(await pipeline.sql('SELECT customer_id, orders, cents FROM customer_totals'), [
    { customer_id: 'c-1', orders: 2, cents: 2590 },
  ])
})

test('an order without items fails, and its dead letter says why', async () => {
  const { failure } = await pipeline.failed(await pipeline.send(order('o-3', [])))
  assert.equal(failure.errorClass, 'SchemaError')
  assert.equal(failure.problems[0]?.pointer, '/items')
})

test('an order that costs too much breaks a rule', async () => {
  const { failure } = await pipeline.failed(
    await pipeline.send(order('o-4', [{ sku: 'gold', quantity: 2, unitPrice: 900_000 }])),
  )
  assert.equal(failure.errorClass, 'RuleViolation')
})
