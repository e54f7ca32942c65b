/** A window that has something to count. */
import { count, defineWindow, tumbling } from '@eventflow/sdk'

export default defineWindow({
  name: 'watched-window',
  on: ['fault.step'],
  window: tumbling('10s'),
  aggregate: { steps: count() },
})
