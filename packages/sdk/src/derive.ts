/** The enricher that computes. */
import { type AcceptedEvent, type Payload, toError } from '@eventflow/core'
import type { Enricher } from './enricher.js'

/**
 * Adds fields that are computed from the event itself (and from what enrichers before this one added):
 *
 * ```ts
 * derive('total', ({ data }: OrderEvent) => ({ total: data.net + data.tax }))
 * ```
 *
 * A throw in `compute` fails that event alone: thrown as `PermanentError` it is dead-lettered at once, otherwise it
 * is retried as after any other error.
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
