/** What accumulates. It is read less often than the lag, because reading takes longer the more there is. */
import { countOpenDeadLetters, type Db, readDatabaseSize } from '@eventflow/db'

export interface Stock {
  /** Open dead letters, by event type. */
  deadLetters: ReadonlyMap<string, number>
  /** The size of the database on disk. */
  postgresBytes: number
}

/** Reads the stock. Rejects when Postgres is away. */
export async function readStock(db: Db): Promise<Stock> {
  const [deadLetters, postgresBytes] = await Promise.all([countOpenDeadLetters(db), readDatabaseSize(db)])
  return { deadLetters: new Map(deadLetters.map(({ type, count }) => [type, count])), postgresBytes }
}
