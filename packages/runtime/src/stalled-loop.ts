/**
 * Ends the process when its event loop has not turned for too long: code that never gives way, such as an endless `while`, can
 * be ended by nothing within it. A thread of its own looks on. What the process had in hand is then found by others as after any
 * crash.
 */
import { url as debuggerUrl } from 'node:inspector'
import { Worker } from 'node:worker_threads'
import type { Logger } from './log.js'

/** How often the loop says that it turns, in milliseconds, where the limit is not as short as that. */
const BEAT_MS = 1_000

/** The thread looks on so many times before it judges: a process that was suspended as a whole misses one beat and no more. */
const LOOKS = 10

interface StalledLoopSettings {
  EVENTFLOW_STALLED_LOOP_SECONDS: number
}

/**
 * Starts to watch, for as long as the process lives. The last line of the log is written by the thread, on stderr. Does nothing where the limit is 0, or where a debugger may hold the process.
 */
export function watchLoop({ EVENTFLOW_STALLED_LOOP_SECONDS: seconds }: StalledLoopSettings, log: Logger): void {
  if (seconds === 0 || debuggerUrl() !== undefined) return
  const beats = new Int32Array(new SharedArrayBuffer(4))
  const thread = new Worker(new URL('./stalled-loop-thread.js', import.meta.url), {
    workerData: { beats, lookMs: (seconds * 1_000) / LOOKS, looks: LOOKS, seconds, fields: log.bindings() },
    // A loader that is registered for definitions is none of its business.
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
