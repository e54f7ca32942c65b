/** An event on its way through the steps of processing. */
import type { AcceptedEvent, Delivery, Failure, Payload } from '@eventflow/core'
import type { CompiledDefinition } from './definitions.js'

/** Once it has failed, the later steps skip it. */
export interface Candidate {
  delivery: Delivery
  definition: CompiledDefinition | undefined
  /** The event with its data as far as the steps have come: the delivery's own until one of them changes it. */
  event: AcceptedEvent
  /** The event's data as JSON text; for the time being without what the enrichers added. */
  payload: string
  additions?: Payload
  failure?: Failure
}
