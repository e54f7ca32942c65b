/** Finds a redis-server: on the PATH, in our cache, or in Debian's archive. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DebianPackage, fetchFromDebian } from './debian.js'
import { run } from './run.js'
import type { Home } from './server-home.js'
import { SetupError } from './setup-error.js'

/** The oldest Redis with XAUTOCLAIM. */
const OLDEST = 6.2

/** redis-tools contains the server too, as redis-check-rdb: the program acts by the name it is called with. */
export const REDIS_PACKAGE: DebianPackage = {
  name: 'redis-tools',
  commands: { 'redis-server': 'redis-check-rdb', 'redis-cli': 'redis-cli' },
}

/**
 * The command of a Redis or Valkey that is new enough and that the account of `home` can run. A fetched one is kept in
 * `cacheDir`; if the account cannot reach that, a copy in `home.dir`.
 */
export async function findRedis(cacheDir: string, home: Home, log: (line: string) => void): Promise<string> {
  const cached = join(cacheDir, 'bin', 'redis-server')
  for (const command of ['redis-server', 'valkey-server', cached]) {
    const version = await versionOf(command)
    if (version >= OLDEST) return command === cached ? reachable(cacheDir, home) : command
    if (version > 0) log(`${command} is version ${version}, but ${OLDEST} is needed: looking for another one`)
  }

  log('Redis is not installed: downloading it from the Debian archive (once, without root)')
  const problem = await fetchFromDebian(REDIS_PACKAGE, cacheDir)
  if (problem === undefined && (await versionOf(cached)) >= OLDEST) return reachable(cacheDir, home)
  throw new SetupError(
    [
      `Redis ${OLDEST} or newer is not installed and could not be downloaded: ${problem ?? 'the archive has an older one'}.`,
      'Install it:     apt install redis-server  |  dnf install valkey  |  brew install redis',
      'or run it elsewhere and set REDIS_URL.',
    ].join('\n'),
  )
}

async function reachable(cacheDir: string, { dir, account }: Home): Promise<string> {
  const place = (folder: string) => join(folder, 'bin', 'redis-server')
  if ((await run(place(cacheDir), ['--version'], { ...account, cwd: '/' })).ok) return place(cacheDir)
  const copy = join(dir, 'program')
  await rm(copy, { recursive: true, force: true })
  await cp(cacheDir, copy, { recursive: true, verbatimSymlinks: true })
  await run('chmod', ['-R', 'go+rX', copy]) // the account runs the copy, and cannot change it
  return place(copy)
}

/** Its version as a number (7.0), or 0 if it cannot be run. */
async function versionOf(command: string): Promise<number> {
  const { ok, output } = await run(command, ['--version'])
  return ok ? Number(/v=(\d+\.\d+)/.exec(output)?.[1] ?? 0) : 0
}
