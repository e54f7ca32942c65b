/**
 * Ends the process when its event loop has been stuck for too long: code that never yields, such as an endless `while`,
 * cannot be stopped from within. A separate thread watches it. Other workers then take over the events of the process
 * as after any crash.
 */
import { url as debuggerUrl } from 'node:inspector'
import { Worker } from 'node:worker_threads'
import type { Logger } from './log.js'

/** The interval of the loop's heartbeats, in milliseconds, unless the limit requires a shorter one. */
const BEAT_MS = 1_000

/** The number of looks that must miss a beat: a process that was suspended as a whole misses only one. */
const LOOKS = 10

interface StalledLoopSettings {
  EVENTFLOW_STALLED_LOOP_SECONDS: number
}

/**
 * Starts to watch, for as long as the process lives. The thread writes the last line of the log, on stderr. Does
 * nothing if the limit is 0, or if a debugger may hold the process.
 */
export function watchLoop({ EVENTFLOW_STALLED_LOOP_SECONDS: seconds }: StalledLoopSettings, log: Logger): void {
  if (seconds === 0 || debuggerUrl() !== undefined) return
  const beats = new Int32Array(new SharedArrayBuffer(4))
  const thread = new Worker(new URL('./stalled-loop-thread.js', import.meta.url), {
    workerData: { beats, lookMs: (seconds * 1_000) / LOOKS, looks: LOOKS, seconds, fields: log.bindings() },
    // The thread does not need a loader registered for definitions.
    execArgv: [],
  })
  thread.on('error', (err) => log.error({ err }, 'the event loop is not monitored'))
  thread.unref()
  const beat = () => {
    Atomics.add(beats, 0, 1)
    Atomics.notify(beats, 0)
  }
  setInterval(beat, Math.min(BEAT_MS, (seconds * 1_000) / LOOKS)).unref()
}
