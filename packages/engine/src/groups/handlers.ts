/** Runs the handlers of a consumer group in the transaction that moves its cursor. */
import { type AcceptedEvent, copyForRun, failureOf } from '@eventflow/core'
import type { Called } from '@eventflow/sdk/user-code'
import { type Calling, type CallingAll, callHandler } from '../settle/effects.js'
import { HandlerError } from '../settle/handler-failure.js'
import type { CompiledConsumer } from './consumers.js'
import type { Emits } from './emits.js'

/** Runs the handlers for these events, in order. Rejects with HandlerError; then nothing may be committed. */
export async function runHandlers(
  consumer: CompiledConsumer,
  events: readonly AcceptedEvent[],
  calling: Calling,
  emits: Emits,
): Promise<void> {
  const all = events.map(({ seq }) => seq)
  if (consumer.handleBatch) {
    const copies = events.map(copyForRun)
    await calling.trace.handleBatch(copies, () =>
      call('handleBatch', copies, (tx) => consumer.handleBatch!(copies, tx)),
    )
    return
  }
  for (const event of events) {
    const copy = copyForRun(event)
    await calling.trace.handle(copy, () => call('handle', [copy], (tx) => consumer.handle!(copy, tx)))
  }

  type Tx = Parameters<NonNullable<CompiledConsumer['handle']>>[1]

  async function call(name: string, copies: readonly AcceptedEvent[], handler: (tx: Tx) => unknown): Promise<void> {
    const called: Called = { type: consumer.name, name, component: 'handle' }
    const seqs = copies.map(({ seq }) => seq)
    const lent = emits.lend(`${name} of '${consumer.name}'`, copies)
    const callingAll: CallingAll = { ...calling, all }
    await callHandler(called, seqs, (sql) => handler({ query: sql.query, emit: lent.emit }), callingAll)
    await lent.end().catch((error) => {
      throw new HandlerError({ failure: failureOf(error, 'handle'), excusable: false }, seqs)
    })
  }
}
