/** Compares what the clients were told with what the tables have. */
import { type Db, prepare } from '@eventflow/db'
import type { Seen } from './clients.js'

/** What is wrong: all zero if nothing is. */
export interface Faults {
  /** Requests that were not answered as accepted or duplicate. */
  refused: number
  /** Accepted events without a row, and former events whose row is gone. */
  lost: number
  /** Ids that were accepted or stored more than once. */
  twice: number
  /** Accepted events that are not processed exactly once. */
  unsettled: number
  /** Stored events that are not found by their ids. */
  withoutId: number
}

/** Reads all rows. `url` is that of an administrator. */
export async function verify(url: string, db: Db, { former, seen }: { former: number; seen: Seen }): Promise<Faults> {
  const counts = { twice: 0, withoutId: 0, stored: 0 }
  await prepare(url, [
    async (tx) => {
      await tx.query(`SET LOCAL work_mem = '512MB'`)
      const count = async (from: string) =>
        Number((await tx.query<{ n: string }>(`SELECT count(*) AS n FROM ${from}`))[0]!.n)
      counts.stored = await count('raw_events')
      counts.twice = await count('(SELECT FROM raw_events GROUP BY tenant_id, event_id HAVING count(*) > 1) x')
      counts.withoutId = await count(
        `raw_events r LEFT JOIN event_ids i USING (tenant_id, event_id, seq, partition) WHERE i.seq IS NULL`,
      )
    },
  ])
  const accepted = [...seen.accepted.values()]
  let unsettled = 0
  let missing = 0
  for (let i = 0; i < accepted.length; i += 10_000) {
    const part = accepted.slice(i, i + 10_000)
    const { rows } = await db.query(
      `SELECT count(r.seq) AS raw, count(p.seq) AS processed
       FROM unnest($1::bigint[], $2::uuid[], $3::smallint[]) AS e(seq, event_id, partition)
       LEFT JOIN raw_events r ON r.partition = e.partition AND r.seq = e.seq AND r.event_id = e.event_id
       LEFT JOIN processed_events p ON p.seq = e.seq`,
      [part.map(({ seq }) => seq), part.map(({ id }) => id), part.map(({ partition }) => partition)],
    )
    missing += part.length - rows[0].raw
    unsettled += Math.abs(part.length - rows[0].processed)
  }
  return {
    refused: seen.refused.length,
    lost: missing + Math.max(0, former + accepted.length - counts.stored),
    twice: seen.twice.length + counts.twice + Math.max(0, counts.stored - former - accepted.length),
    unsettled: unsettled + Math.abs(accepted.length - seen.settled),
    withoutId: counts.withoutId,
  }
}
