/** The consumer group that emits an event for each `fault.leading`, with the same key and number. */
import { defineConsumer } from '@eventflow/sdk'
import type { StepEvent } from './_step.js'

export default defineConsumer({
  name: 'fault-emitting',
  events: ['fault.leading'],
  from: 'earliest',
  retry: { baseDelayMs: 200 },
  handle: async ({ data: { key, n } }: StepEvent, tx) => tx.emit({ type: 'fault.derived', data: { key, n } }),
})
