/** What `eventflow up` runs, and where. */
import type { Output } from './output.js'

/** Paths are absolute. */
export interface UpOptions {
  /** Of HTTP. */
  port: number
  /** How many of them. */
  workers: number
  /** Where the first worker tells of its health; the others have the next free ports. */
  metricsPort: number
  dataDir: string
  /** The folder with the event definitions. */
  events: string
  /** The files that are run as ingest, as worker and as the monitor. */
  programs: { ingest: string; worker: string; alerts: string }
  env: NodeJS.ProcessEnv
  output: Output
  /** Stops everything in order. */
  stop: AbortSignal
  /** Ends everything at once. */
  kill: AbortSignal
}
