/** Repeats a step for as long as the process lives, despite errors. */
import { setTimeout as delay } from 'node:timers/promises'

interface RepeatOptions {
  /** The pause from the end of a step to the beginning of the next, in milliseconds. */
  pauseMs: number
  /** The first step waits for a pause, too. */
  pauseFirst?: boolean
  /** Called with the error of a step; the next step comes after the usual pause. Must not throw. */
  onError: (error: unknown) => void
}

interface Repetition {
  /** Ends a pause at once. Waits for a running step. */
  stop(): Promise<void>
}

/** `stopping` is aborted when the step should end early. */
type Step = (stopping: AbortSignal) => Promise<void>

/** A step that returns the pause after it, in milliseconds, in place of `pauseMs`. */
type PacedStep = (stopping: AbortSignal) => Promise<number>

/** Runs `step` now and repeatedly, each time after a pause. Steps never overlap. */
export function repeat(step: Step | PacedStep, { pauseMs, pauseFirst = false, onError }: RepeatOptions): Repetition {
  const stopping = new AbortController()
  const { signal } = stopping
  const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => {})

  /** Returns the pause after the step. */
  async function runStep(): Promise<number> {
    try {
      return (await step(signal)) ?? pauseMs
    } catch (error) {
      onError(error)
      return pauseMs
    }
  }

  async function run(): Promise<void> {
    if (pauseFirst) await pause(pauseMs)
    while (!signal.aborted) await pause(await runStep())
  }

  const ended = run()
  return {
    async stop() {
      stopping.abort()
      await ended
    },
  }
}
