/** The workers, the ingest and the monitor of `up`. */
import { freePort, SetupError } from '@eventflow/local'
import { type Kept, keepRunning } from './keep-running.js'
import type { Output } from './output.js'
import { startProgram } from './program.js'
import type { UpOptions } from './up-options.js'

/**
 * Starts the workers and then the ingest, and adds them to `started`. They are stopped in reverse order, so that no new
 * events arrive while the workers finish. Resolves with the health ports of the workers.
 */
export async function startPrograms(
  { port, workers, metricsPort, events, programs, env, output }: UpOptions,
  urls: { postgres: string; standby: string | undefined; redis: string },
  started: Kept[],
): Promise<number[]> {
  const shared = { ...env, DATABASE_URL: urls.postgres, REDIS_URL: urls.redis, EVENTFLOW_EVENTS: events }
  const keep = (name: string, file: string, settings: NodeJS.ProcessEnv) =>
    keepProgram(output, name, file, { ...shared, ...settings })

  const ports = await freePorts(workers, metricsPort)
  const ids = ports.map((_, index) => `worker-${index + 1}`)
  const pool = ids.map((id, index) =>
    keep(id, programs.worker, { EVENTFLOW_WORKER_ID: id, EVENTFLOW_METRICS_PORT: `${ports[index]}` }),
  )
  started.push(together(await Promise.all(pool)))
  started.push(await keep('ingest', programs.ingest, { EVENTFLOW_PORT: `${port}`, DATABASE_REPLICA_URL: urls.standby }))
  return ports
}

/** Starts the monitor. Call it once the tables exist: otherwise it would raise an alert about them. */
export async function startAlerts(
  { programs, env, output }: UpOptions,
  urls: { postgres: string; redis: string },
  started: Kept[],
): Promise<void> {
  const settings = { ...env, DATABASE_URL: urls.postgres, REDIS_URL: urls.redis }
  started.push(await keepProgram(output, 'alerts', programs.alerts, settings))
}

function keepProgram(output: Output, name: string, file: string, settings: NodeJS.ProcessEnv): Promise<Kept> {
  const voice = output.voice(name)
  return keepRunning(async () => startProgram(file, settings, voice.pass), voice)
}

async function freePorts(count: number, from: number): Promise<number[]> {
  const ports: number[] = []
  for (let port = from; ports.length < count; port++) {
    if (port > 65_535)
      throw new SetupError(`no ${count} free ports from ${from} on: choose another start with --metrics-port`)
    if ((await freePort(port)) !== undefined) ports.push(port)
  }
  return ports
}

/** Combines parts that are stopped at the same time. */
function together(parts: Kept[]): Kept {
  return {
    failedStart: Promise.race(parts.map((part) => part.failedStart)),
    stop: async () => {
      await Promise.all(parts.map((part) => part.stop()))
    },
    kill: () => {
      for (const part of parts) part.kill()
    },
  }
}
