/** `fault.derived`: the event that a `fault.leading` leads to. No client sends it. */
import { defineEvent } from '@eventflow/sdk'
import { Step, writeEffects } from './_step.js'

export default defineEvent({
  type: 'fault.derived',
  schema: Step,
  key: ({ key }) => key,
  handleBatch: writeEffects,
})
