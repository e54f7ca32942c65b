/** How one Redis is distinguished from another. */
import { connectRedis, readRunId, untilReady } from '@eventflow/redis'
import { startOwnRedis } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

test('a Redis that was a replica for a while, and may have lost its data, is another one, in the same process', async () => {
  const server = await startOwnRedis()
  const redis = connectRedis({ url: server.adminUrl, onError: () => {} })
  await untilReady(redis, 5_000)
  const before = await readRunId(redis)
  expect(await readRunId(redis)).toBe(before)
  await redis.replicaof('127.0.0.1', 1) // nothing listens there
  await redis.replicaof('NO', 'ONE')
  const after = await readRunId(redis)
  const [process, replication] = before!.split(' ')
  expect(after).toMatch(new RegExp(`^${process} \\w+$`))
  expect(after).not.toBe(`${process} ${replication}`)
  redis.disconnect()
  await server.stop()
})
