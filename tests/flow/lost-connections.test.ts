/**
 * A lane loses its connection to Redis, which has not noticed: a read still waits there, and may be given the next
 * entry.
 */
import { CONSUMER_GROUP, partitionOf } from '@eventflow/core'
import { connectRedis, streamKey, untilReady } from '@eventflow/redis'
import { openLink, startOwnRedis, startPipeline, until, withPort } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

test('an entry given to the lost read is not overtaken by later ones', async () => {
  const server = await startOwnRedis()
  const link = await openLink(server.port)
  const direct = connectRedis({ url: server.adminUrl, onError: () => {} })
  await untilReady(direct, 5_000)
  const pipeline = await startPipeline([step], { REDIS_URL: withPort(server.url, link.port), EVENTFLOW_LANES: '1' })
  const send = (n: number) => pipeline.send([{ type: 'fault.step', data: { key: 'k', n } }])
  /** The connections that wait for entries. */
  const waiting = async () =>
    String(await direct.client('LIST'))
      .split('\n')
      .filter((line) => /\bcmd=xreadgroup\b/.test(line) && /\bflags=\w*b/.test(line))
      .map((line) => Number(/^id=(\d+)/.exec(line)?.[1]))
  await pipeline.startWorker()
  await until('the lane waits for events', async () => (await waiting()).length > 0)
  await send(0)
  await pipeline.drained()

  const stream = streamKey(pipeline.prefix, partitionOf('default', 'k', pipeline.partitions))
  const consumers = (await direct.xinfo('CONSUMERS', stream, CONSUMER_GROUP)) as unknown[][]
  const name = String(consumers[0]![consumers[0]!.indexOf('name') + 1])
  const lost = direct.duplicate()
  await untilReady(lost, 5_000)
  const lostId = Number(await lost.client('ID'))
  const given = lost.xreadgroup('GROUP', CONSUMER_GROUP, name, 'COUNT', 1, 'BLOCK', 30_000, 'STREAMS', stream, '>')
  await until('that read waits', async () => (await waiting()).includes(lostId))
  link.reset()
  await until('the lane waits on a new connection', async () => (await waiting()).some((id) => id > lostId))
  await send(1)
  expect(await given).not.toBe(null)
  await send(2)
  await pipeline.drained()
  expect((await pipeline.db.query('SELECT n FROM effects ORDER BY at')).rows).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }])

  await pipeline.stop()
  for (const redis of [direct, lost]) redis.disconnect()
  await link.stop()
  await server.stop()
})
