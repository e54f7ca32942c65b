/** A consumer group that has something to do. */
import { defineConsumer } from '@eventflow/sdk'

export default defineConsumer({
  name: 'watched',
  events: ['fault.step'],
  handle: async () => {},
})
