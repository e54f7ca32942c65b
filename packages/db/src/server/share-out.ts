/** One pool for many tenants, none of which can take all of its connections. */
import { createTurns, type TurnLimits } from '@eventflow/core'
import type { Db, Queryable } from './connect.js'

/** The pool as one tenant gets it. */
export type DbOf = (tenantId: string) => Db

/**
 * Shares a pool among tenants: each uses at most as many connections at once as `limits` allow, for the time of a
 * statement or a transaction, and otherwise waits for its turn. If too many wait already, it rejects at once with
 * TooManyWaitingError.
 */
export function shareOut(pool: Db, limits: TurnLimits): DbOf {
  const turns = createTurns(limits)
  return (tenantId) => {
    const query = (...given: Parameters<Queryable['query']>) => turns.run(tenantId, async () => pool.query(...given))
    const connect = async () => {
      const end = await turns.take(tenantId)
      try {
        const client = await pool.connect()
        const { release } = client
        client.release = (error) => {
          release(error)
          end()
        }
        return client
      } catch (error) {
        end()
        throw error
      }
    }
    // Everything else comes from the pool.
    return Object.assign(Object.create(pool) as Db, { query, connect })
  }
}
