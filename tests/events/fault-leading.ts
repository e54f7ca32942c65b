/** `fault.leading`: for each of its events the consumer group `fault-emitting` emits a `fault.derived`. */
import { defineEvent } from '@eventflow/sdk'
import { Step, writeEffects } from './_step.js'

export default defineEvent({
  type: 'fault.leading',
  schema: Step,
  key: ({ key }) => key,
  handleBatch: writeEffects,
})
