/** Before the tests: starts one Postgres and one Redis for all of them. */
import { join } from 'node:path'
import { type Services, startServices } from '@eventflow/testkit'

declare global {
  var eventflowServices: Services | undefined
}

export default async function start(): Promise<void> {
  globalThis.eventflowServices = await startServices({
    cacheDir: join(import.meta.dirname, '../../.eventflow/cache/redis'),
  })
}
