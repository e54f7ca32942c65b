/** Event definitions, compiled to run. */
import { DEFAULT_RETRY_POLICY, type Delivery, identityOf, orderingKey, type RetryPolicy } from '@eventflow/core'
import { type OwnContract, ownContractOf } from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'

export interface CompiledDefinition extends Omit<EventDefinition, 'retry'> {
  contract: OwnContract
  retry: RetryPolicy
}

export type Definitions = ReadonlyMap<string, CompiledDefinition>

/** Compiles the schemas and completes the retry policies. Throws if a schema is invalid; the message names the type. */
export function compileDefinitions(definitions: ReadonlyMap<string, EventDefinition>): Definitions {
  return new Map(
    [...definitions].map(([type, definition]) => {
      const retry = { ...DEFAULT_RETRY_POLICY, ...definition.retry }
      return [type, { ...definition, contract: compile(definition), retry }]
    }),
  )
}

function compile(definition: EventDefinition): OwnContract {
  try {
    return ownContractOf(definition)
  } catch (cause) {
    throw new Error(`the schema of the event type '${definition.type}' is not valid: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/**
 * Returns the function that gives the string by which an event is ordered: its ordering key, or its identity if its
 * type needs no order.
 */
export function orderOf(definitions: Definitions): (delivery: Delivery) => string {
  return ({ event }) => (definitions.get(event.type)?.order === 'none' ? identityOf(event) : orderingKey(event))
}

/** Returns the function that gives the retry policy of an event. Its type must be defined. */
export function retryOf(definitions: Definitions): (delivery: Delivery) => RetryPolicy {
  return ({ event }) => definitions.get(event.type)!.retry
}
