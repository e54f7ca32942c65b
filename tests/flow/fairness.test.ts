/** Fairness between tenants: a tenant with few events does not wait for another's backlog in Postgres. */
import { markDirty } from '@eventflow/db'
import { expect, test } from '@jest/globals'
import { upTo, withTenants } from './fairness.js'

const MANY = 20_000

const tenants = withTenants()

test('ten events behind a backlog in Postgres', async () => {
  const { pipeline, sendAll, bigOnesBeforeTheSmall, expectAllOnceInOrder, returns } = tenants()
  await sendAll(MANY)
  await markDirty(pipeline.db, upTo(pipeline.partitions))
  expect(await bigOnesBeforeTheSmall()).toBeLessThan(MANY / 2)
  await expectAllOnceInOrder(MANY)
  expect(returns('dirty')).toEqual(upTo(pipeline.partitions).map(() => 1))
}, 120_000)
