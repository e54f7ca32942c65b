/**
 * Carries out operations, chunk by chunk, each at its own rate. The state of an operation is in Postgres: if this
 * process dies, the operation is interrupted with no half-done chunk, and any process can continue it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { TooManyWaitingError } from '@eventflow/core'
import { advanceOperation, type Db, type DbOf, interruptOperation, type Operation, sqlErrorKind } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { chunkSize, nextChunkAt } from './pace.js'

/** How long an operation waits when Postgres is away or `retries` has too many events, in milliseconds. */
const PAUSE_MS = 1_000

type Started = Pick<Operation, 'id' | 'tenantId' | 'rate'>

export interface Operations {
  /** Carries out a running operation from its current position. */
  start(operation: Started): void
  /** Interrupts the running operations after their current chunks. */
  stop(): Promise<void>
}

export interface OperationsDeps {
  /** For changes of an operation's state, even if its tenant has no turn left. */
  db: Db
  /** Each step takes a turn of the tenant. */
  dbOf: DbOf
  log: Logger
}

export function createOperations({ db, dbOf, log }: OperationsDeps): Operations {
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()

  async function carryOut({ id, tenantId, rate }: Started): Promise<void> {
    for (let dueAt = performance.now(); !stopping.signal.aborted; await until(dueAt)) {
      const startedAt = performance.now()
      try {
        const step = await advanceOperation(dbOf(tenantId), id, chunkSize(rate))
        if (step?.status !== 'running') return
        dueAt = step.crowded ? startedAt + PAUSE_MS : nextChunkAt(dueAt, startedAt, step.changed, rate)
      } catch (error) {
        log.warn({ err: error, operation_id: id }, 'a step of an operation failed')
        const mayPass =
          error instanceof TooManyWaitingError || ['infrastructure', 'conflict'].includes(sqlErrorKind(error))
        if (!mayPass) return interruptOperation(db, id)
        dueAt = startedAt + PAUSE_MS
      }
    }
    await interruptOperation(db, id)
  }

  async function until(dueAt: number): Promise<void> {
    const ms = dueAt - performance.now()
    if (ms > 0) await delay(ms, undefined, { signal: stopping.signal }).catch(() => {})
  }

  return {
    start(operation) {
      const ended = carryOut(operation)
        // Its row says `running` until a reader notices that there is no sign of life.
        .catch((err) =>
          log.warn({ err, operation_id: operation.id }, 'an operation stopped, and its state could not be saved'),
        )
        .finally(() => running.delete(ended))
      running.add(ended)
    },
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}
