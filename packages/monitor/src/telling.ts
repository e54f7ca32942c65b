/** Telling the others what a process has counted: once a second, through Postgres. */
import { randomUUID } from 'node:crypto'
import { type Db, forgetFigures, type ProcessFigures, tellFigures } from '@eventflow/db'

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
  let telling: Promise<void> = Promise.resolve()
  let busy = false

  async function tell(): Promise<void> {
    busy = true
    await tellFigures(db, { process, service, run, ...(await read()) }).catch(() => {})
    busy = false
  }

  const timer = setInterval(() => {
    if (!busy) telling = tell()
  }, EVERY_MS)

  return {
    async stop() {
      clearInterval(timer)
      await telling
      await forgetFigures(db, process).catch(() => {})
    },
  }
}
