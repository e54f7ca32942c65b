/** Definitions of consumer groups, completed to run. */
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from '@eventflow/core'
import type { GroupDefinition } from '@eventflow/db'
import type { ConsumerDefinition } from '@eventflow/sdk'
import type { Stateful } from './stateful.js'

export interface CompiledConsumer extends Omit<ConsumerDefinition, 'retry'> {
  version: number
  retry: RetryPolicy
  /** Of a window or a join: then there is no handler. */
  stateful?: Stateful
}

/** Completes a definition with the defaults. */
export function compileConsumer(definition: ConsumerDefinition): CompiledConsumer {
  return { ...definition, version: definition.version ?? 1, retry: { ...DEFAULT_RETRY_POLICY, ...definition.retry } }
}

/** The group of a definition, as it is registered. */
export function groupOf({ name, version, events, from = 'latest', stateful }: CompiledConsumer): GroupDefinition {
  return { name, version, types: events, from, ...(stateful && { state: stateful.definition }) }
}
