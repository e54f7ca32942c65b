/** What the workers of a pipeline send to Postgres in their transactions. */
import type { TestPipeline } from '@eventflow/testkit'

/**
 * Calls `answered` with the name, or the text, of each statement that a connection of the pool sends, when it is done and
 * before its answer arrives; `client` tells the connections apart.
 */
export function watchStatements(
  { db }: TestPipeline,
  answered: (statement: string, client: object) => void | Promise<void>,
): void {
  const connect = db.connect.bind(db) as (...given: unknown[]) => Promise<never>
  const watched = new WeakSet()
  Object.assign(db, {
    connect: async (...given: unknown[]) => {
      if (given.length > 0) return connect(...given)
      const client: { query: (...given: unknown[]) => Promise<unknown> } = await connect()
      if (watched.has(client)) return client
      watched.add(client)
      const query = client.query.bind(client)
      client.query = async (...given) => {
        const answer = await query(...given)
        const [statement] = given as [string | { name?: string; text: string }]
        await answered(typeof statement === 'string' ? statement : (statement.name ?? statement.text), client)
        return answer
      }
      return client
    },
  })
}
