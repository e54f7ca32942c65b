/** `traced.read`: an event that a consumer group reads. */

import { defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { trace } from '@opentelemetry/api'

export default [
  defineEvent({ type: 'traced.read', schema: Type.Object({}) }),
  defineConsumer({
    name: 'tracing',
    events: ['traced.read'],
    from: 'earliest',
    handle: async () => {
      trace.getTracer('mine').startActiveSpan('reading', (span) => span.end())
    },
  }),
]
