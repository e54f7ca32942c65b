/** Event definitions, made ready to run. */
import {
  compileSchema,
  DEFAULT_RETRY_POLICY,
  type Delivery,
  orderingKey,
  type RetryPolicy,
  type SchemaCheck,
} from '@eventflow/core'
import { eventKey } from '@eventflow/db'
import type { EventDefinition } from '@eventflow/pipeline'

export interface CompiledDefinition extends Omit<EventDefinition, 'retry'> {
  check: SchemaCheck
  retry: RetryPolicy
}

export type Definitions = ReadonlyMap<string, CompiledDefinition>

/** Compiles the schemas and completes the retry policies. Throws when a schema is not valid, naming the type. */
export function compileDefinitions(definitions: ReadonlyMap<string, EventDefinition>): Definitions {
  return new Map(
    [...definitions].map(([type, definition]) => {
      const retry = { ...DEFAULT_RETRY_POLICY, ...definition.retry }
      return [type, { ...definition, check: compile(definition), retry }]
    }),
  )
}

function compile({ type, schema }: EventDefinition): SchemaCheck {
  try {
    return compileSchema(schema)
  } catch (cause) {
    throw new Error(`the schema of the event type '${type}' is not valid: ${(cause as Error).message}`, { cause })
  }
}

/** What an event's order is kept by: its key, or nothing but itself where its type needs no order. */
export function orderOf(definitions: Definitions): (delivery: Delivery) => string {
  return ({ event }) => (definitions.get(event.type)?.order === 'none' ? eventKey(event) : orderingKey(event))
}
