/** `eventflow up`: the whole pipeline on this machine, including Postgres and Redis. */
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort, SetupError } from '@eventflow/local'
import { claimFolder } from './data-folder.js'
import { type Database, startDatabases } from './databases.js'
import { readExample } from './example-event.js'
import type { Kept } from './keep-running.js'
import type { Voice } from './output.js'
import { startAlerts, startPrograms } from './programs.js'
import { untilReady } from './ready.js'
import type { UpOptions } from './up-options.js'
import { welcome } from './welcome.js'

/**
 * Starts everything, prints the addresses, and stops everything when told to. Rejects if something fails; then nothing
 * is left running.
 */
export async function up(options: UpOptions): Promise<void> {
  const { port, dataDir, events, output, stop, kill } = options
  const voice = output.voice('up')
  const folder = await claimFolder(dataDir)
  const started: Kept[] = []
  kill.addEventListener('abort', () => {
    for (const part of started) part.kill()
  })
  try {
    await checkEvents(events)
    await checkHttpPort(port)
    const { postgres, standby, redis } = await startDatabases(options, started)
    const http = `http://127.0.0.1:${port}`
    const own = (database: Database | undefined) => (database?.dir ? database : undefined)
    await folder.tell({ http, postgres: own(postgres), standby: own(standby), redis: own(redis) })
    stop.throwIfAborted()
    const urls = { postgres: postgres.url, standby: standby?.url, redis: redis.url }
    const workerPorts = await startPrograms(options, urls, started)
    await untilReady([port, ...workerPorts], started, voice, stop)
    await startAlerts(options, urls, started)
    // Its settings decide whether requests need an API key, and it has them.
    const types = await fetch(`http://127.0.0.1:${port}/v1/event-types`)
    const [locked, example] = [types.status === 401, await readExample(types)]
    output.block(welcome({ locked, example, port, workerPorts, postgres, standby, redis, dataDir, events }))
    if (!stop.aborted) await once(stop, 'abort')
  } catch (error) {
    if (!stop.aborted) throw error
  } finally {
    await stopAll(started, voice)
    await folder.release()
  }
}

/** Stops the parts in reverse order of their start. */
async function stopAll(started: Kept[], voice: Voice): Promise<void> {
  if (started.length === 0) return
  voice.say('stopping: finishing events in flight')
  for (const part of started.reverse()) await part.stop()
  voice.say('stopped')
}

/** Checks that the folder exists before anything starts; the loader checks its content. */
async function checkEvents(folder: string): Promise<void> {
  await access(folder).catch(() => {
    throw new SetupError(
      `the folder ${folder} does not exist: pass the folder with the event definitions with --events`,
    )
  })
}

/** Waits a little, because the ingest of a killed run takes a moment to stop. */
async function checkHttpPort(port: number): Promise<void> {
  for (const deadline = Date.now() + 3_000; (await freePort(port)) === undefined; await delay(100)) {
    if (Date.now() > deadline)
      throw new SetupError(`port ${port} is used by another program: choose another one with --port`)
  }
}
