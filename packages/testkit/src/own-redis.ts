/** A Redis of a test's own, to be taken away, filled up or wiped. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@eventflow/local'
import { runServer, type Server } from './faults/server.js'
import { redisCacheDir } from './services.js'

/** Starts it; its data goes with it when it is stopped. */
export async function startOwnRedis(): Promise<Server> {
  const dir = await mkdtemp(join(tmpdir(), 'eventflow-redis-'))
  const server = await runServer(dir, (place) => startRedis({ ...place, cacheDir: redisCacheDir(), log: () => {} }))
  return {
    ...server,
    async stop() {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
