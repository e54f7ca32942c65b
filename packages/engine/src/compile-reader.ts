/** Definitions of what reads the log, completed to run. */
import type { ConsumerDefinition, JoinDefinition, WindowDefinition } from '@eventflow/sdk'
import { type CompiledConsumer, compileConsumer } from './groups/consumers.js'
import { compileJoin } from './joins/compile-join.js'
import { compileWindow } from './windows/compile-window.js'

/** A definition that reads the log as a consumer group. */
export type ReaderDefinition = ConsumerDefinition | WindowDefinition | JoinDefinition

/** Completes a definition with the defaults. */
export function compileReader(definition: ReaderDefinition): CompiledConsumer {
  if ('aggregate' in definition) return compileWindow(definition)
  return 'select' in definition ? compileJoin(definition) : compileConsumer(definition)
}
