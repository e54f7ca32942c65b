/** Telling the others what a process has counted: once a second, through Postgres. */
import { randomUUID } from 'node:crypto'
import { type Db, forgetFigures, type ProcessFigures, tellFigures } from '@eventflow/db'
import { repeat } from '@eventflow/runtime/repeat'

const EVERY_MS = 1_000

/** What a process knows of itself at a moment. */
export type Figures = Omit<ProcessFigures, 'process' | 'service' | 'run'>

/** Tells the figures of this process until stopped. While Postgres is away nobody is told. */
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
