/** Fairness between tenants: a tenant with few events does not wait for another's backlog in the streams. */
import { expect, test } from '@jest/globals'
import { upTo, withTenants } from './fairness.js'

/** So many that the worker leaves the streams for Postgres, where tenants can be read separately. */
const MANY = 50_000

const tenants = withTenants()

test('ten events behind a backlog in the streams', async () => {
  const { pipeline, sendAll, bigOnesBeforeTheSmall, expectAllOnceInOrder, returns } = tenants()
  await sendAll(MANY)
  expect(await bigOnesBeforeTheSmall()).toBeLessThan(MANY / 2)
  await expectAllOnceInOrder(MANY)
  // It stays with Postgres as long as the backlog lasts, and then returns.
  expect(returns('behind')).toEqual(upTo(pipeline.partitions).map(() => 1))
}, 120_000)
