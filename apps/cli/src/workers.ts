/** `eventflow workers`: the living and dead workers, and their partitions. */
import { type KnownWorker, readWorkers } from '@eventflow/db'
import { askPostgres } from './ask-postgres.js'
import { type Print, span, table } from './table.js'

/** Prints the workers. Resolves with the exit code: 1 if none is alive. */
export async function workers(postgres: string, { json, print }: { json?: boolean; print: Print }): Promise<number> {
  const known = await askPostgres(postgres, readWorkers)
  print(json ? JSON.stringify(known) : shown(known))
  return known.some(({ alive }) => alive) ? 0 : 1
}

function shown(known: readonly KnownWorker[]): string {
  if (known.length === 0) return 'no worker is running'
  const rows = known.map((worker) => [
    worker.id,
    worker.host,
    `${worker.pid}`,
    worker.startedAt.toISOString().slice(0, 19).concat('Z'),
    `${span(worker.silentSeconds)} ago`,
    worker.alive ? 'alive' : 'dead',
    worker.partitions.join(' ') || '-',
  ])
  return table(['worker', 'host', 'pid', 'started', 'heartbeat', 'state', 'partitions'], rows)
}
