/** An event while it goes through the steps of processing. */
import type { AcceptedEvent, Delivery, Failure, Payload } from '@eventflow/core'
import type { CompiledDefinition } from './definitions.js'

/** Once `failure` is set, the later steps skip the event. */
export interface Candidate {
  delivery: Delivery
  definition: CompiledDefinition | undefined
  /** The event with its data so far: the delivery's event until a step changes the data. */
  event: AcceptedEvent
  /** The event's data as JSON text; until the last step without what the enrichers added. */
  payload: string
  additions?: Payload
  failure?: Failure
}
