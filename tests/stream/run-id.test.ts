/** What tells one Redis from the next. */
import { connectRedis, readRunId, untilReady } from '@eventflow/redis'
import { startOwnRedis } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

test('a Redis that was a replica for a while, and may have lost what it had, is another one, though its process is the same', async () => {
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
