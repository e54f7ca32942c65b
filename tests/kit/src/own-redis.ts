/** A separate Redis for a test that stops, fills or wipes it. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@eventflow/local'
import { connectRedis, untilReady } from '@eventflow/redis'
import { runServer, type Server } from './faults/server.js'
import { redisCacheDir } from './services.js'

/** Starts it; its data is removed when it is stopped. It takes over the passwords of `like`, which it is to replace. */
export async function startOwnRedis({ like }: { like?: Server } = {}): Promise<Server> {
  const dir = await mkdtemp(join(tmpdir(), 'eventflow-redis-'))
  await chmod(dir, 0o711) // Redis runs under another account if the tests run as root, and must be able to get there
  const server = await runServer(join(dir, 'redis'), (place) =>
    startRedis({ ...place, cacheDir: redisCacheDir(), log: () => {} }),
  )
  if (like) await takePasswords(server, like)
  return {
    ...server,
    async stop() {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function takePasswords(server: Server, like: Server): Promise<void> {
  const redis = connectRedis({ url: server.adminUrl, onError: () => {} })
  await untilReady(redis, 5_000)
  for (const { username, password } of [new URL(like.url), new URL(like.adminUrl)]) {
    await redis.call('ACL', 'SETUSER', username || 'default', `>${password}`)
  }
  redis.disconnect()
}
