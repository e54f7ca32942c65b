/** Examines schemas from outside in a thread of their own, which is ended when one takes too long. One at a time. */
import { Worker } from 'node:worker_threads'
import { type CompatibilityMode, createTurns } from '@eventflow/core'
import type { Examination, Version } from './examination.js'

/** For one schema, from when the thread begins with it. What compiles here compiles in the same time where it is used. */
const TIMEOUT_MS = 2_000
/** So long a thread may take to load, on a machine that has much else to do. */
const START_MS = 30_000
/** For so long a thread stays that has nothing to do. */
const IDLE_MS = 10_000
/** A thread takes a core. */
const TURNS = { atOnce: 1, atOnceEach: 1, waitingEach: 10 }
const MEMORY_MB = 128

export type Examine = (
  tenantId: string,
  schema: unknown,
  mode: CompatibilityMode,
  earlier: readonly Version[],
) => Promise<Examination>

/** Gives the examiner. Tenants take turns; it rejects with TooManyWaitingError when too many schemas of one of them wait. */
export function createExaminer(timeoutMs = TIMEOUT_MS): Examine {
  const turns = createTurns(TURNS)
  let thread: Worker | undefined
  let ending: NodeJS.Timeout | undefined

  function startThread(): Worker {
    const started = new Worker(new URL('./examiner-thread.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    })
    started.unref()
    // It may run out of memory while it has nothing to answer.
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

  /** Loading takes a thread longer than most schemas do, so it stays for a while. */
  async function examineInThread(job: object): Promise<Examination> {
    clearTimeout(ending)
    thread ??= startThread()
    try {
      return await answerOf(thread, job, timeoutMs)
    } catch (error) {
      end()
      return { faults: [{ pointer: '', message: (error as Error).message }], incompatibilities: [] }
    } finally {
      ending = setTimeout(end, IDLE_MS).unref()
    }
  }

  return (tenantId, schema, mode, earlier) => turns.run(tenantId, () => examineInThread({ schema, mode, earlier }))
}

/** What the thread says of a job. Rejects when it ends over it, or takes too long; then it is of no more use. */
function answerOf(thread: Worker, job: object, timeoutMs: number): Promise<Examination> {
  return new Promise<Examination>((resolve, reject) => {
    const fail = (message: string) => stop(() => reject(new Error(message)))
    const startTimer = (ms: number) => setTimeout(() => fail('takes too long to compile and compare'), ms)
    let timer = startTimer(START_MS)
    const hear = (message: 'begun' | Examination) => {
      if (message !== 'begun') return stop(() => resolve(message))
      clearTimeout(timer)
      timer = startTimer(timeoutMs)
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
