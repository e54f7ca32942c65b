/** What accumulates. It is read less often than the lag, because reading takes longer the more there is. */
import { countOpenDeadLetters, type Db, readDatabaseSize, readReach } from '@eventflow/db'

export interface Stock {
  /** Open dead letters, by event type. */
  deadLetters: ReadonlyMap<string, number>
  /** The size of the database on disk. */
  postgresBytes: number
  /** Parts of the ledger beyond the one that takes new events; undefined before the tables are in parts. */
  partsAhead: number | undefined
}

/** Reads the stock. Rejects when Postgres is away. */
export async function readStock(db: Db): Promise<Stock> {
  const [deadLetters, postgresBytes, reach] = await Promise.all([
    countOpenDeadLetters(db),
    readDatabaseSize(db),
    readReach(db),
  ])
  return {
    deadLetters: new Map(deadLetters.map(({ type, count }) => [type, count])),
    postgresBytes,
    partsAhead: reach?.ahead,
  }
}
