/** `eventflow up`: the whole pipeline on this machine, Postgres and Redis included. */
import { stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort, SetupError, startPostgres, startRedis } from '@eventflow/local'
import { claimFolder } from './data-folder.js'
import { type Kept, keepRunning } from './keep-running.js'
import type { Output } from './output.js'
import { startProgram } from './program.js'
import { welcome } from './welcome.js'

/** Options of {@link up}. Paths are absolute. */
export interface UpOptions {
  port: number
  workers: number
  dataDir: string
  events: string
  /** The files that are run as ingest and as worker. */
  programs: { ingest: string; worker: string }
  env: NodeJS.ProcessEnv
  output: Output
  /** Stops everything in order. */
  stop: AbortSignal
  /** Ends everything at once. */
  kill: AbortSignal
}

/** A database: the one that the environment names, or one of ours. */
interface Database {
  url: string
  shell: string
  dir?: string
}

/** Starts everything, says where it is, and stops everything when told to. Fails with nothing left running. */
export async function up(options: UpOptions): Promise<void> {
  const { port, events, dataDir, output, stop, kill } = options
  await checkEvents(events)
  const letGo = await claimFolder(dataDir)
  const started: Kept[] = []
  kill.addEventListener('abort', () => {
    for (const part of started) part.kill()
  })
  try {
    await checkHttpPort(port)
    const { postgres, redis } = await startDatabases(options, started)
    stop.throwIfAborted()
    const { http, workerPorts } = await startPrograms(options, started, postgres.url, redis.url)
    await Promise.race([answersReady(http, output, stop), endOfAny(started)])
    const data = [dataDir, postgres.dir, redis.dir].filter((dir) => dir !== undefined)
    output.block(welcome({ http, workerPorts, events, data, postgres: postgres.shell, redis: redis.shell }))
    await aborted(stop)
  } catch (error) {
    if (!stop.aborted) throw error
  } finally {
    output.voice('up').say('stopping')
    for (const part of started.reverse()) await part.stop()
    await letGo()
  }
}
