/** The heartbeat of a process that accepts events: while there is none, no window closes for want of later events. */
import { randomUUID } from 'node:crypto'
import { beatIngest, type Db, forgetIngest } from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'
import type { FastifyInstance } from 'fastify'

const EVERY_MS = 1_000

/**
 * Beats once a second from when the service listens until it closes. `db` has the connections that accept events: if
 * these are all busy, no event is accepted either.
 */
export function beatWhileOpen(app: FastifyInstance, db: Db, log: Logger): void {
  const processId = randomUUID()
  const onError = (err: unknown) => log.debug({ err }, 'writing the heartbeat failed')
  let beating: ReturnType<typeof repeat> | undefined
  app.addHook('onListen', async () => {
    beating = repeat(() => beatIngest(db, processId), { pauseMs: EVERY_MS, onError })
  })
  app.addHook('onClose', async () => {
    if (!beating) return
    await beating.stop()
    await forgetIngest(db, processId).catch(onError)
  })
}
