/** Examines schemas that came over HTTP, one at a time, in a thread that is terminated if a schema takes too long. */
import { Worker } from 'node:worker_threads'
import { type CompatibilityMode, createTurns } from '@eventflow/core'
import type { Examination, Version } from './examination.js'

/**
 * The time limit for one schema, from when the thread begins with it. A schema that compiles in this time also does so
 * in a worker.
 */
const TIMEOUT_MS = 2_000
/** How long the thread may take to load, on a busy machine. */
const START_MS = 30_000
/** How long an idle thread is kept. */
const IDLE_MS = 10_000
/** A thread uses a whole core. */
const TURNS = { atOnce: 1, atOnceEach: 1, waitingEach: 10 }
const MEMORY_MB = 128

interface Limits {
  timeoutMs: number
  startMs: number
}

/** The thread did not start in time, because the machine is busy. Nothing is known about the schema: try it again. */
export class NotExaminedError extends Error {
  override name = 'NotExaminedError'
}

export type Examine = (
  tenantId: string,
  schema: unknown,
  mode: CompatibilityMode,
  earlier: readonly Version[],
) => Promise<Examination>

/**
 * Creates the examiner. Tenants take turns. It rejects with TooManyWaitingError if too many schemas of one tenant wait,
 * and with NotExaminedError.
 */
export function createExaminer(limits: Limits = { timeoutMs: TIMEOUT_MS, startMs: START_MS }): Examine {
  const turns = createTurns(TURNS)
  let thread: Worker | undefined
  let ending: NodeJS.Timeout | undefined

  function startThread(): Worker {
    const started = new Worker(new URL('./examiner-thread.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    })
    started.unref()
    // It may run out of memory while it has no job.
    started.on('error', () => {})
    started.once('exit', () => {
      if (thread === started) thread = undefined
    })
    return started
  }

  function end(): void {
    void thread?.terminate()
    thread = undefined
  }

  /** Loading a thread takes longer than examining most schemas, so an idle thread is kept for a while. */
  async function examineInThread(job: object): Promise<Examination> {
    clearTimeout(ending)
    thread ??= startThread()
    try {
      return await answerOf(thread, job, limits)
    } catch (error) {
      end()
      if (error instanceof NotExaminedError) throw error
      return { faults: [{ pointer: '', message: (error as Error).message }], incompatibilities: [] }
    } finally {
      ending = setTimeout(end, IDLE_MS).unref()
    }
  }

  return (tenantId, schema, mode, earlier) => turns.run(tenantId, () => examineInThread({ schema, mode, earlier }))
}

/**
 * Resolves with the thread's answer to a job. Rejects if the thread ends or takes too long; then it must not be used
 * again.
 */
function answerOf(thread: Worker, job: object, { timeoutMs, startMs }: Limits): Promise<Examination> {
  return new Promise<Examination>((resolve, reject) => {
    const fail = (message: string) => stop(() => reject(new Error(message)))
    const notStarted = new NotExaminedError(`The thread that examines schemas did not start within ${startMs} ms`)
    let timer = setTimeout(() => stop(() => reject(notStarted)), startMs)
    const hear = (message: 'begun' | Examination) => {
      if (message !== 'begun') return stop(() => resolve(message))
      clearTimeout(timer)
      timer = setTimeout(() => fail('takes too long to compile and compare'), timeoutMs)
    }
    const failWith = ({ message }: Error) => fail(`cannot be compiled: ${message}`)
    const exit = () => fail('cannot be compiled: its thread exited')
    const stop = (settle: () => void) => {
      clearTimeout(timer)
      thread.off('message', hear).off('error', failWith).off('exit', exit)
      settle()
    }
    thread.on('message', hear).on('error', failWith).on('exit', exit)
    thread.postMessage(job)
  })
}
