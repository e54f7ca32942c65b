/**
 * `traced.step`: its enricher and its handler create spans. *flaky*: its handler fails the first time; *bad*: it fails
 * permanently. The enricher records the headers that it would send to a dependency.
 */
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { context, propagation, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('the user')
const failed = new Set<string>()

export default defineEvent({
  type: 'traced.step',
  schema: Type.Object({ mood: Type.Optional(Type.String()) }),
  retry: { attempts: 3, baseDelayMs: 50 },
  enrich: [
    {
      name: 'moody',
      enrich: (events) =>
        tracer.startActiveSpan('asking', async (span) => {
          await Promise.resolve()
          const headers: { traceparent?: string } = {}
          propagation.inject(context.active(), headers)
          span.setAttribute('sent', headers.traceparent!)
          span.end()
          return events.map(() => ({}))
        }),
    },
  ],
  handle: async ({ id, data }, tx) => {
    await tx.query('SELECT 1')
    await tracer.startActiveSpan('working', async (span) => {
      span.end()
    })
    if (data.mood === 'bad') throw new PermanentError('a secret of the event')
    if (data.mood !== 'flaky' || failed.has(id)) return
    failed.add(id)
    throw new RangeError('a secret of the event')
  },
})
