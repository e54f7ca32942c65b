/** The enricher for computed fields. */
import { type AcceptedEvent, type Payload, toError } from '@eventflow/core'
import type { Enricher } from './enricher.js'

/**
 * Adds fields computed from the event itself (and from the additions of earlier enrichers):
 *
 * ```ts
 * derive('total', ({ data }: OrderEvent) => ({ total: data.net + data.tax }))
 * ```
 *
 * A throw in `compute` fails that event alone: a `PermanentError` dead-letters it at once, any other error is retried.
 */
export function derive<Data = Payload, Added extends object = Payload>(
  name: string,
  compute: (event: AcceptedEvent<Data>) => Added,
): Enricher<Data, Added> {
  return {
    name,
    enrich: (events) =>
      events.map((event) => {
        try {
          return compute(event)
        } catch (error) {
          return toError(error)
        }
      }),
  }
}
