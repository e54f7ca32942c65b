/** Writes the counters of a process to Postgres once a second, for the other processes. */
import { randomUUID } from 'node:crypto'
import { type Db, forgetFigures, type ProcessFigures, tellFigures } from '@eventflow/db'
import { repeat } from '@eventflow/runtime/repeat'

const EVERY_MS = 1_000

/** The counters of a process at one moment. */
export type Figures = Omit<ProcessFigures, 'process' | 'service' | 'run'>

/** Writes the figures of this process to Postgres every second until stopped. Errors of Postgres are ignored. */
export function startTelling(
  db: Db,
  { process, service }: Pick<ProcessFigures, 'process' | 'service'>,
  read: () => Promise<Figures>,
): { stop(): Promise<void> } {
  const run = randomUUID()
  const tell = async () => tellFigures(db, { process, service, run, ...(await read()) })
  const telling = repeat(tell, { pauseMs: EVERY_MS, pauseFirst: true, onError: () => {} })

  return {
    async stop() {
      await telling.stop()
      await forgetFigures(db, process).catch(() => {})
    },
  }
}
