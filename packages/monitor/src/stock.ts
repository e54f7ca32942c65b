/** What piles up. Read less often than the lag: the more there is, the longer it takes. */
import { countOpenDeadLetters, type Db, readDatabaseSize } from '@eventflow/db'

export interface Stock {
  /** Dead letters that nobody has dealt with, by event type. */
  deadLetters: ReadonlyMap<string, number>
  /** What the database takes on disk. */
  postgresBytes: number
}

/** Reads the stock. Rejects when Postgres is away. */
export async function readStock(db: Db): Promise<Stock> {
  const [deadLetters, postgresBytes] = await Promise.all([countOpenDeadLetters(db), readDatabaseSize(db)])
  return { deadLetters: new Map(deadLetters.map(({ type, count }) => [type, count])), postgresBytes }
}
