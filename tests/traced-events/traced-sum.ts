/** `traced.sum`: its handler takes several events at once, and creates a span. */
import { defineEvent, Type } from '@eventflow/sdk'
import { trace } from '@opentelemetry/api'

export default defineEvent({
  type: 'traced.sum',
  schema: Type.Object({}),
  handleBatch: async () => trace.getTracer('the user').startSpan('summing').end(),
})
