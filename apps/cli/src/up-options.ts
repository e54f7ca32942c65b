/** The options of `eventflow up`. */
import type { Output } from './output.js'

/** Paths are absolute. */
export interface UpOptions {
  /** The port of HTTP. */
  port: number
  /** The number of workers. */
  workers: number
  /** The health port of the first worker; the others get the next free ports. */
  metricsPort: number
  /** Whether Postgres gets a standby for reads. */
  standby?: boolean
  dataDir: string
  /** The folder with the event definitions. */
  events: string
  /** The files that are run as ingest, worker and monitor. */
  programs: { ingest: string; worker: string; alerts: string }
  env: NodeJS.ProcessEnv
  output: Output
  /** Stops everything in order. */
  stop: AbortSignal
  /** Ends everything at once. */
  kill: AbortSignal
}
