/** Definitions of what reads the log, completed to run. */
import type { ConsumerDefinition, WindowDefinition } from '@eventflow/sdk'
import { type CompiledConsumer, compileConsumer } from './groups/consumers.js'
import { compileWindow } from './windows/compile-window.js'

/** A definition that reads the log as a consumer group. */
export type ReaderDefinition = ConsumerDefinition | WindowDefinition

/** Completes a definition with the defaults. */
export function compileReader(definition: ReaderDefinition): CompiledConsumer {
  return 'aggregate' in definition ? compileWindow(definition) : compileConsumer(definition)
}
