/** Redis is fetched, starts, stops, and keeps its data. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, test } from '@jest/globals'
import { fetchFromDebian } from './debian.js'
import { startAndGetKilled } from './left-behind.fixture.js'
import { freePort } from './ports.js'
import { startRedis } from './redis.js'
import { findRedis, REDIS_PACKAGE } from './redis-binary.js'
import { ask } from './redis-wire.js'
import { run } from './run.js'
import { findHome } from './server-home.js'
import type { LocalDatabase } from './server-process.js'

const dir = await realpath(await mkdtemp(join(tmpdir(), 'eventflow-redis-')))
const cacheDir = join(dir, 'cache')
const said: string[] = []
const log = (line: string) => said.push(line)
const hasApt = (await run('apt-get', ['--version'])).ok

afterAll(() => rm(dir, { recursive: true, force: true }))

test('two processes at once fetch it from the Debian archive into an empty cache; without apt the error says why not', async () => {
  const fetch = () => fetchFromDebian(REDIS_PACKAGE, cacheDir)
  const problems = await Promise.all([fetch(), fetch()])
  if (!hasApt) return expect(problems).toEqual([expect.any(String), expect.any(String)])
  expect(problems).toEqual([undefined, undefined])
  expect((await run(join(cacheDir, 'bin', 'redis-server'), ['--version'])).output).toContain('Redis server v=')
}, 60_000)

/** Sends a command as the administrator. */
const asked = ({ adminUrl, port }: LocalDatabase, command: string) => ask(port, new URL(adminUrl).password, command)

test('a second start finds the data of the first', async () => {
  const first = await startRedis({ dir, port: 0, cacheDir, log })
  expect(await asked(first, 'SET kept 42')).toContain('+OK')
  await first.stop()
  expect(await first.exited).toBe('code 0')

  const second = await startRedis({ dir, port: 0, cacheDir, log })
  expect(await asked(second, 'GET kept')).toContain('42')
  await second.stop()
})

test('the data and a running Redis of an earlier version in the folder are taken over', async () => {
  const folder = join(dir, 'earlier')
  await mkdir(folder)
  const port = (await freePort(0))!
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes']
  const earlier = spawn(await findRedis(cacheDir, await findHome('Redis', join(dir, 'any'), log), log), args)
  const ended = once(earlier, 'exit')
  await writeFile(join(folder, 'port'), `${port}\n`)
  while (!(await ask(port, 'none', 'SET kept earlier'))?.startsWith('+OK')) await delay(10)
  said.length = 0
  const redis = await startRedis({ dir: folder, port: 0, cacheDir, log })
  expect(said).toContain(`stopping a Redis (port ${port}) left behind by an earlier run`)
  expect(await ended).toEqual([0, null])
  expect(await asked(redis, 'GET kept')).toContain('earlier')
  await redis.stop()
})

test('it syncs its file every second, and evicts nothing', async () => {
  const redis = await startRedis({ dir, port: 0, cacheDir, log })
  expect(await asked(redis, 'CONFIG GET appendfsync')).toContain('everysec')
  expect(await asked(redis, 'CONFIG GET maxmemory-policy')).toContain('noeviction')
  await redis.stop()
})

test('one left running by a killed process is stopped, and its data is used', async () => {
  await startAndGetKilled(`startRedis({ dir: '${dir}', port: 0, cacheDir: '${cacheDir}', log: () => {} })`)
  said.length = 0
  const redis = await startRedis({ dir, port: 0, cacheDir, log })
  expect(said[0]).toMatch(/stopping a Redis \(port \d+\) left behind by an earlier run/)
  expect(await asked(redis, 'GET kept')).toContain('42')
  await redis.stop()
})

test('a taken port: another one if any will do, an error if it was demanded', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.once('error', resolve).listen(16379, '127.0.0.1', resolve))
  const redis = await startRedis({ dir, cacheDir, log })
  expect(redis.port).not.toBe(16379)
  await redis.stop()
  await expect(startRedis({ dir, port: 16379, cacheDir, log })).rejects.toThrow('Redis: port 16379 is used')
  holder.close()
})
