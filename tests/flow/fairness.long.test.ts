/** Fairness between tenants: one that has sent little does not wait for a backlog in the streams that another has sent. */
import { expect, test } from '@jest/globals'
import { upTo, withTenants } from './fairness.js'

/** So many that the worker leaves the streams for Postgres, where tenants can be read apart. */
const MANY = 50_000

const tenants = withTenants()

test('ten events behind a backlog in the streams', async () => {
  const { pipeline, sendAll, bigOnesBeforeTheSmall, expectAllOnceInOrder, returns } = tenants()
  await sendAll(MANY)
  expect(await bigOnesBeforeTheSmall()).toBeLessThan(MANY / 2)
  await expectAllOnceInOrder(MANY)
  // It stays with Postgres for as long as the backlog lasts, and then goes back.
  expect(returns('behind')).toEqual(upTo(pipeline.partitions).map(() => 1))
}, 120_000)
