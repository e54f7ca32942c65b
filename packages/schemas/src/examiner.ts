/** Examines schemas from outside in a thread of their own, which is ended when one takes too long. One at a time. */
import { Worker } from 'node:worker_threads'
import { type CompatibilityMode, createTurns } from '@eventflow/core'
import type { Examination, Version } from './examination.js'

/** From when the thread is up. What compiles here compiles in the same time where it is used. */
const TIMEOUT_MS = 2_000
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

function startThread(): Worker {
  const thread = new Worker(new URL('./examiner-thread.js', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  })
  thread.unref()
  return thread
}

/** What the thread says of a job. Rejects when it ends over it, or takes too long; then it is of no more use. */
function answerOf(thread: Worker, job: object, timeoutMs: number): Promise<Examination> {
  return new Promise<Examination>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const hear = (message: 'begun' | Examination) => {
      if (message === 'begun') {
        timer = setTimeout(() => stop(() => reject(new Error('takes too long to compile and compare'))), timeoutMs)
      } else stop(() => resolve(message))
    }
    const fail = ({ message }: Error) => stop(() => reject(new Error(`cannot be compiled: ${message}`)))
    const stop = (settle: () => void) => {
      clearTimeout(timer)
      thread.off('message', hear).off('error', fail)
      settle()
    }
    thread.on('message', hear).on('error', fail)
    thread.postMessage(job)
  })
}
