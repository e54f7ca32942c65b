/** graphile-worker, working: with the settings that its page on performance calls the fastest. */
import { run } from 'graphile-worker'
import { planOf, sayReady } from '../load/orders.js'

await run({
  taskList: { order: async () => {} },
  preset: {
    worker: {
      connectionString: planOf<{ databaseUrl: string }>().databaseUrl,
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  noHandleSignals: true,
})
sayReady()
