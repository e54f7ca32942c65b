/** Where the servers of the tests are, and what the process that keeps them tells. */

/** Where the servers are. It is all text: a global setup can pass it as JSON to the processes that run the tests. */
export interface ServerAddresses {
  /** The URL of Postgres, for the role of the pipeline's programs. */
  postgres: string
  /** The URL of Postgres for its superuser. */
  postgresAdmin: string
  /** The URL of Redis. */
  redis: string
  /** The database with all tables and no rows that each pipeline gets a copy of. */
  template: string
}

/** A message from the process that keeps the servers. */
export type FromKeeper =
  | { kind: 'line'; line: string }
  | { kind: 'ready'; addresses: ServerAddresses }
  | { kind: 'failed'; message: string }
